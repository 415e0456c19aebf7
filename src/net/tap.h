// The TAP back end: the queues of a Linux TAP device (/dev/net/tun).
//
// Where it comes from:
//   ifname=tap0                  an existing TAP; refused if there is none (nobody would configure it)
//   [ifname=tap0,]script=PATH    made if missing, and PATH is run to configure it: "PATH <ifname>"
//   fd=N or fd=NAME              an open queue, inherited or passed by `getfd`; fds=A:B for several
//   helper=PATH[,br=BRIDGE]      a helper opens one and makes it a port of the bridge: bridge_helper.h
//
// Scripts run once in the life of the guest's TAP: `script` in the process that opens it,
// `downscript` in the last process that holds it, that is never after release().
//
// What a hand-over moves: the queues' descriptors, attached or not, and what the guest was told about it.  O_NONBLOCK,
// the vnet header's length, offloads and sndbuf belong to the open file description that both
// processes share: the opener sets them once, adopt() sets nothing.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/named_fds.h"
#include "net/backend.h"
#include "net/bridge_helper.h"
#include "net/tap_queue.h"
#include "net/tap_state.h"
#include "net/vhost_net.h"
#include "schema/net.h"

namespace pagurus::net {

struct TapConfig {
  std::string id;
  std::string ifname;                  // empty: the kernel chooses
  std::vector<std::string> fds;        // exclusive with ifname and scripts; one for each queue
  std::optional<BridgeHelper> helper;  // exclusive with ifname, fds, scripts and several queues
  unsigned queues = 1;                 // 1..kMaxQueuePairs
  std::string script = "no";           // "no": none
  std::string downscript = "no";
  bool vnet_hdr = true;
  uint64_t sndbuf = 0;          // bytes in flight before transmit blocks; 0: the kernel's default
  bool local_incoming = false;  // announced(); exclusive with fd, helper and scripts
  bool vhost = false;
  std::vector<std::string> vhost_fds;  // with vhost; one per queue pair, or empty

  // Refuses what contradicts itself.
  static Result<TapConfig> from(const std::string& id, const schema::NetdevTapOptions& options);
  static Result<TapConfig> from(const std::string& id, const schema::NetdevBridgeOptions& options);
};

class Tap final : public Backend {
 public:
  // The back end is pending: open() or adopt() brings it to life.
  static std::unique_ptr<Tap> create(TapConfig config, NamedFds& named_fds);
  ~Tap() override;

  const std::string& id() const override { return config_.id; }
  std::string_view kind() const override { return "tap"; }
  bool announced() const override { return config_.local_incoming; }
  bool pending() const override { return queues_[0].descriptor() < 0; }
  Result<void> open() override;

  bool vnet_header() const override { return vnet_header_; }
  Offloads offloads() const override { return offloads_; }
  Result<void> set_offloads(const Offloads& offloads) override;
  unsigned queue_pairs() const override { return config_.queues; }
  Result<void> set_active_pairs(unsigned pairs) override;
  Port& port(unsigned pair) override { return queues_[pair]; }
  RingServer* ring_server() override { return vhost_.get(); }
  Result<void> ram_ready(const memory::GuestMemory& memory) override;

  Result<const vmstate::Description*> movable() const override;
  void freeze() override {}
  Result<void> save(vmstate::Writer& writer) const override;
  Result<void> adopt(vmstate::Reader& reader) override;
  const vmstate::Description* early() const override;
  void save_early(vmstate::Writer& writer) override { vhost_->save_early(writer); }
  Result<void> adopt_early(vmstate::Reader& reader) override { return vhost_->adopt_early(reader); }
  void thaw() override;
  void release() override;

 private:
  explicit Tap(TapConfig config, NamedFds& named_fds);
  Result<std::vector<UniqueFd>> open_queues();
  Result<UniqueFd> open_by_name(const std::string& name);
  Result<void> set_up(std::vector<UniqueFd> fds);
  TapState state_of(const TapQueue& queue, const std::string& ifname) const;
  void close();

  TapConfig config_;
  NamedFds& named_fds_;
  std::vector<TapQueue> queues_;  // as many as configured; without descriptors while pending
  std::string ifname_;
  bool vnet_header_ = false;
  Offloads offloads_;
  bool run_down_script_ = false;
  std::unique_ptr<VhostNet> vhost_;  // with vhost=on
};

}  // namespace pagurus::net
