// The hand-over as a QMP client sees it: parameters, capabilities, `migrate`, `migrate-incoming`,
// `query-migrate`.
//
// Threads: the control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "event/loop.h"
#include "machine/machine.h"
#include "migration/fault.h"
#include "migration/ram_source.h"
#include "migration/transfer.h"
#include "vmstate/section.h"
#include "wire/messages.h"

namespace pagurus::migration {

// QEMU's MigrationStatus, as far as it occurs here.
enum class Status { kNone, kSetup, kActive, kPreSwitchover, kDevice, kCompleted, kCancelled, kFailed };
std::string_view name_of(Status status);

struct Parameters {
  Transfer transfer;                           // backend-transfer
  uint64_t downtime_limit_ms = 300;            // downtime-limit: the longest pause before a roll-back
  uint64_t max_bandwidth = 128 * 1024 * 1024;  // max-bandwidth: bytes/s while RAM is copied; 0: unlimited
  // How long the other side is waited for; what happens then is in docs/handover.md.
  uint64_t hello_timeout_ms = 5'000;     // hello-timeout: the first answer
  uint64_t prepare_timeout_ms = 60'000;  // prepare-timeout: READY
  uint64_t stall_timeout_ms = 60'000;    // stall-timeout: the next message once it is ready
};
// Milliseconds: 1..2000000.
struct ParameterChanges {
  std::optional<Transfer> transfer;
  std::optional<uint64_t> downtime_limit_ms;
  std::optional<uint64_t> max_bandwidth;
  std::optional<uint64_t> hello_timeout_ms;
  std::optional<uint64_t> prepare_timeout_ms;
  std::optional<uint64_t> stall_timeout_ms;
};

struct Capabilities {
  bool events = false;                   // MIGRATION events
  bool local_tap = false;                // the same as the transfer of kVirtioNetTap alone
  bool pause_before_switchover = false;  // wait for migrate-continue with the guest held still
  bool return_path = false;              // the destination must be able to answer
};

// What a hand-over is made with.
struct Settings {
  Parameters parameters;  // as in force
  Capabilities capabilities;
};

// A stretch of the hand-over's time line; times in microseconds since `migrate`.
struct Phase {
  std::string name;
  double start_us;
  double duration_us;
};

struct Info {
  Status status = Status::kNone;
  std::string error;  // kFailed, kCancelled: why; kCompleted: what went wrong all the same
  double total_time_ms = 0;
  // From the moment the source's first vCPU was asked to stop to the moment the destination's vCPUs
  // were told to run.  0 until known.
  double downtime_ms = 0;
  std::vector<Phase> phases;
  std::vector<std::string> moved;     // "ram", "netdev n0 (tap)", ...
  std::optional<RamStatistics> ram;   // source: copied
  uint64_t expected_downtime_ms = 0;  // kActive, copied: of the rest as it is now
};

class Migration {
 public:
  struct Environment {
    event::Loop& loop;
    machine::Machine& machine;
    // Called when an incoming hand-over failed after the machine took the guest's RAM: this process
    // is of no more use.  The argument is the error to print.
    std::function<void(const Error&)> on_incoming_lost;
  };
  static std::unique_ptr<Migration> create(Environment environment);
  ~Migration();
  Migration(const Migration&) = delete;
  Migration& operator=(const Migration&) = delete;

  // As in force: what the capability local-tap asks for is part of them.
  Parameters parameters() const;
  // Both are refused while a migration runs, but for downtime-limit and max-bandwidth, and if capability local-tap and
  // parameter backend-transfer would contradict each other.
  Result<void> set_parameters(const ParameterChanges& changes);
  const Capabilities& capabilities() const;
  Result<void> set_capabilities(const Capabilities& capabilities);

  // Starts a hand-over and returns; its course is seen by query() and the observer.
  Result<void> migrate(const std::string& uri);
  // What becomes of this process if the guest does not come in after a part of it has.
  enum class OnError { kExit, kStay };
  Result<void> migrate_incoming(const std::string& uri, OnError on_error = OnError::kExit);
  // Lets a migration go on that waits in `status`: only kPreSwitchover is waited in.
  Result<void> go_on(Status status);
  // What HELLO would say with this choice of back ends, or with the parameter in force; see manifest_query.h.
  Result<wire::Hello> manifest(const std::optional<Transfer>& transfer) const;
  // What this process, which waits for a guest, would answer to HELLO, or why it would refuse.
  Result<wire::Welcome> check_manifest(const wire::Hello& hello) const;
  // Success if there is nothing to cancel, as in QEMU.
  Result<void> cancel();
  Info query() const;
  bool in_progress() const;

  // For tests: see migration/fault.h.
  Result<void> inject_fault(const Fault& fault);

  // Called on every change of status.
  void set_observer(std::function<void(Status, int64_t at_ns)> observer);
  // With -incoming ... -S: stay paused after the hand-over.
  void set_stay_paused(bool stay_paused);

  // A host resource that no device of the guest uses and that moves if the destination asks for it
  // by name (a QMP listener): present in the source, pending in the destination.
  void add_movable(std::string name, vmstate::Movable& movable);

 private:
  class Impl;
  explicit Migration(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pagurus::migration
