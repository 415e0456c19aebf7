// -netdev dgram: each datagram of a socket is a frame, as QEMU's back end of that name.
//
//   local=inet|unix, remote=the same type    bound here, sends there
//   local=fd                                 a connected datagram socket
//
// Nobody knows whether somebody is there: connected() is always true, and what nobody takes is lost.  The socket
// moves with the datagrams that wait in it; so does the remote address, which is not looked up again.
//
// Threads: see Backend.
#pragma once

#include <string>
#include <vector>

#include "base/bound_path.h"
#include "base/named_fds.h"
#include "net/backend.h"
#include "schema/net.h"

namespace pagurus::net {

struct DgramConfig {
  std::string id;
  schema::SocketAddress local;
  std::optional<schema::SocketAddress> remote;  // nothing exactly if local is a descriptor

  static Result<DgramConfig> from(const std::string& id, const schema::NetdevDgramOptions& options);
};

struct DgramState {
  vmstate::Fd socket;
  std::string path;             // to unlink at the end; empty: none
  std::vector<uint8_t> remote;  // a sockaddr; empty: the socket is connected

  static const vmstate::Description& description();
};

class Dgram final : public Backend, private Port {
 public:
  // The back end is pending.
  Dgram(DgramConfig config, NamedFds& named_fds) : config_(std::move(config)), named_fds_(named_fds) {}

  const std::string& id() const override { return config_.id; }
  std::string_view kind() const override { return "dgram"; }
  bool announced() const override { return false; }
  bool pending() const override { return !socket_; }
  Result<void> open() override;

  bool vnet_header() const override { return false; }
  Offloads offloads() const override { return {}; }
  Result<void> set_offloads(const Offloads&) override { return {}; }
  unsigned queue_pairs() const override { return 1; }
  Result<void> set_active_pairs(unsigned) override { return {}; }
  Port& port(unsigned) override { return *this; }

  Result<const vmstate::Description*> movable() const override { return &DgramState::description(); }
  void freeze() override {}
  Result<void> save(vmstate::Writer& writer) const override;
  Result<void> adopt(vmstate::Reader& reader) override;
  void thaw() override;
  void release() override;

 private:
  // Port.
  int fd() const override { return socket_.get(); }
  IoResult receive(std::span<const iovec> frame) override;
  IoResult transmit(std::span<const iovec> frame) override;
  PortFailure failure() override;

  Result<UniqueFd> open_socket();
  // Whether this socket and this remote address are of the kind that the configuration says.
  Result<void> check(int fd, const std::vector<uint8_t>& remote) const;

  DgramConfig config_;
  NamedFds& named_fds_;
  UniqueFd socket_;
  BoundPath path_;
  std::string adopted_path_;  // ours with the first thaw()
  std::vector<uint8_t> remote_;
};

}  // namespace pagurus::net
