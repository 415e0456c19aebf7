// The machine: RAM, vCPUs, buses and devices composed into one, and its run state.
//
// Life:
//   new guest:   create() ─▶ power_on() ─▶ prelaunch ─▶ cont() ─▶ running ◀─▶ paused
//   hand-over:   create() ─▶ inmigrate ─▶ (HandoverTarget, see handover.h) ─▶ running or paused
//
// Threads: the control thread, except where a comment says otherwise.  Events that happen on vCPU
// threads (power-off, reset, an internal error) are posted to the control loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/named_fds.h"
#include "base/result.h"
#include "device/virtio_net/counters.h"
#include "device/virtio_net/rx_filter.h"
#include "event/loop.h"
#include "machine/config.h"
#include "machine/run_state.h"

namespace pagurus::machine {

// Told about what happens to the machine; QMP turns it into events.  `at_ns`: CLOCK_REALTIME of the
// moment, which may lie a little in the past: nothing is sent during the pause of a hand-over.
class MachineObserver {
 public:
  virtual ~MachineObserver() = default;
  virtual void on_stop(int64_t at_ns) = 0;
  virtual void on_resume(int64_t at_ns) = 0;
  // by_guest: the guest did it, not an operator.
  virtual void on_reset(int64_t at_ns, bool by_guest) = 0;
  // reason: QEMU's ShutdownCause, e.g. "guest-shutdown", "guest-reset", "host-qmp-quit".
  virtual void on_shutdown(int64_t at_ns, bool by_guest, const std::string& reason) = 0;
  virtual void on_powerdown(int64_t at_ns) = 0;
  // A device has gone, with all its resources but the back end.
  virtual void on_device_deleted(int64_t at_ns, const std::string& id) = 0;
  // netdev: the id of a back end that somebody has connected to, or left.
  virtual void on_netdev_connected(int64_t at_ns, const std::string& netdev, const schema::SocketAddress& peer) = 0;
  virtual void on_vhost_user_connected(int64_t at_ns, const std::string& netdev, const std::string& chardev) = 0;
  virtual void on_vhost_user_disconnected(int64_t at_ns, const std::string& netdev) = 0;
  virtual void on_netdev_disconnected(int64_t at_ns, const std::string& netdev) = 0;
  // A NIC's driver has changed what it wants to receive; not told again before somebody has asked for it.
  virtual void on_rx_filter_changed(int64_t at_ns, const std::string& id) = 0;
};

// One line of query-backend-transfer-support and of `pagurusctl status`.
struct BackendReport {
  std::string device;        // id or path of the device, e.g. "nic0" or "serial0"
  std::string device_type;   // "virtio-net-pci", "isa-serial"
  std::string backend;       // id of its back end, empty if it has none
  std::string backend_type;  // "tap", "stdio", ...
  bool can_move;
  std::string reason;  // why not, if it cannot
};

// The network as it is now, as the options of a process that would be started with it: all that was left open
// (ids, slots, MAC addresses) is said.
struct NetworkOptions {
  bool changed = false;  // something was plugged or unplugged since the process was started
  std::vector<schema::Netdev> netdevs;
  std::vector<schema::DeviceOptions> devices;
};

// What a NIC has done, and what its driver wants to receive.
struct NicReport {
  std::string id;
  std::string netdev;
  std::vector<device::PairCounters> pairs;
  uint64_t control_kicks;
};
struct RxFilterReport {
  std::string id;
  device::RxFilter filter;
};

class Handover;

class Machine {
 public:
  // Builds everything the configuration names.  An incoming machine has no RAM yet and its back
  // ends are pending; any other has both.  `on_exit` is called when the process should end, with
  // its exit code (power-off, reset with -no-reboot).
  struct Environment {
    event::Loop& loop;
    NamedFds& named_fds;
    std::function<void(int)> on_exit;
  };
  static Result<std::unique_ptr<Machine>> create(const Config& config, Environment environment);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Loads the kernel and sets the first vCPU to its entry: state prelaunch.  Not for an incoming
  // machine.
  Result<void> power_on();

  RunState run_state() const;
  // `cont` and `stop`: refused in states where they make no sense, with a sentence; stopping a
  // stopped machine and continuing a running one succeed and do nothing.
  Result<void> cont();
  Result<void> stop();
  // Resets and, if it was running, runs on.
  Result<void> reset();
  // Presses the ACPI power button.
  Result<void> power_button();
  // Ends the process (QMP quit).  From now on the guest does not run, and nothing starts it again or
  // hands it over; the next turn of the loop tells SHUTDOWN and calls on_exit(0).
  void quit(const std::string& reason);
  // name: a device's id or its netdev's id.
  Result<void> set_link(const std::string& name, bool up);

  // Hot-plug: what the guest has to be told, it is told if the machine type can; before it runs, or in a process
  // that waits for a guest, it finds the device there.  Refused while a hand-over is under way.
  // A back end that no device uses is opened at once, or stays pending in a process that waits for a guest.
  Result<void> add_netdev(const schema::Netdev& options);
  Result<void> delete_netdev(const std::string& id);
  Result<void> add_device(const schema::DeviceOptions& options);
  // Asks the guest to let the device go; on_device_deleted() tells when it has.
  Result<void> delete_device(const std::string& id);
  NetworkOptions network_options() const;
  std::vector<NicReport> nics() const;
  // id: of a NIC; empty: of every one.
  Result<std::vector<RxFilterReport>> rx_filters(const std::string& id);

  const Config& config() const;
  std::vector<BackendReport> backends() const;
  // Per vCPU: its host thread id.
  std::vector<int> vcpu_thread_ids() const;

  // Borrowed; must outlive the machine or be removed.
  void add_observer(MachineObserver& observer);
  void remove_observer(MachineObserver& observer);

  // The hand-over's view of this machine (handover.h).
  Handover& handover();

 private:
  class Impl;
  explicit Machine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The machine types, newest first, and what `-machine help` says of each (describe.cc).
struct MachineTypeInfo {
  std::string_view name;
  std::string description;
};
std::vector<MachineTypeInfo> machine_types();

}  // namespace pagurus::machine
