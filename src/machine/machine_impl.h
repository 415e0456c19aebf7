// The inside of Machine, shared by machine.cc (life and run state), machine_handover.cc (leaving
// and entering a process) and machine_hotplug.cc (devices that come and go).
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "machine/acpi/tables.h"
#include "machine/announcer.h"
#include "machine/board.h"
#include "machine/boot/boot_file.h"
#include "machine/boot/kernel_image.h"
#include "machine/handover.h"
#include "machine/machine.h"
#include "machine/machine_state.h"
#include "machine/machine_type.h"
#ifdef PAGURUS_VARIANT
#include "machine/variant.h"
#endif

namespace pagurus::machine {

// Which loading of a state it is.
enum class Turn { kRehearsal, kReal };

class Machine::Impl final : private BoardListener, private net::ConnectionObserver, public Handover {
 public:
  Impl(const Config& config, const MachineType& type, Environment environment)
      : config_(config), type_(type), environment_(std::move(environment)), announcer_(environment_.loop) {}
  Result<void> build();

  Result<void> power_on();
  Result<void> boot();
  Result<void> cont();
  Result<void> stop();
  // After a failure the machine is in run state internal-error.
  Result<void> reset(bool by_guest);
  void quit(const std::string& reason);
  Result<void> set_link(const std::string& name, bool up);
  std::vector<BackendReport> backends();
  Result<void> add_netdev(const schema::Netdev& options);
  Result<void> delete_netdev(const std::string& id);
  Result<void> add_device(const schema::DeviceOptions& options);
  Result<void> delete_device(const std::string& id);
  NetworkOptions network_options() const;
  std::vector<NicReport> nics() const;
  Result<std::vector<RxFilterReport>> rx_filters(const std::string& id);
  bool runs() const { return state_ == RunState::kRunning; }

  // Handover.
  std::vector<Fact> facts() const override;
  std::vector<SectionInfo> sections() const override;
  std::vector<MovableInfo> movables() const override;
  Result<void> check_guest() const override;
  Result<void> check_copy() const override;
  bool ending() const override { return quitting_; }
  void hold_devices(bool hold) override;
  int ram_fd() const override { return board_->memory().fd(); }
  memory::GuestMemory& ram() override { return board_->memory(); }
  std::vector<SavedSection> save_rehearsal(const std::set<std::string>& transfer) override;
  Result<void> start_dirty_log() override { return board_->start_dirty_log(); }
  Result<void> collect_dirty(memory::PageBitmap& into) override { return board_->collect_dirty(into); }
  void stop_dirty_log() override { board_->stop_dirty_log(); }
  void freeze() override;
  Result<std::vector<SavedSection>> save(const std::set<std::string>& transfer) override;
  void resume() override;
  void release(Left left) override;
  bool was_running() const override { return was_running_; }
  Result<void> attach_ram(UniqueFd memfd) override;
  Result<void> allocate_ram() override;
  Result<void> open_untransferred(const std::set<std::string>& transfer) override;
  Result<void> load_rehearsal(std::vector<LoadedSection> sections, const std::set<std::string>& transfer) override;
  Result<void> load(std::vector<LoadedSection> sections, const std::set<std::string>& transfer, Origin origin) override;
  int64_t enter(Enter how) override;
  void report_events() override;

 private:
  friend class Machine;
  enum class Event {
    kStop,
    kResume,
    kReset,
    kShutdown,
    kPowerdown,
    kDeviceDeleted,
    kNetdevConnected,
    kNetdevDisconnected,
    kRxFilterChanged,
    kVhostUserConnected,
    kVhostUserDisconnected,
  };
  struct Moment {
    Event event;
    int64_t at_ns;
    bool by_guest = false;
    std::string reason;
    std::string device;
    std::string netdev;
    std::string chardev;
    schema::SocketAddress peer;
  };

  // BoardListener, on vCPU threads and NICs' workers.
  void guest_power_off() override { request(GuestRequest::kPowerOff); }
  void guest_reset() override { request(GuestRequest::kReset); }
  void guest_ejected() override { post_removal(); }
  void guest_failed(const std::string& why) override;
  void rx_filter_changed(const std::string& nic) override;
  void request(GuestRequest request);
  // On the control thread.
  Result<void> check_not_quitting() const;
  Result<void> check_not_leaving() const;
  void carry_out_request();
  // Which way a device comes or goes now, or why it cannot.
  enum class Plugging { kCold, kHot };
  Result<Plugging> plugging() const;
  Result<Plugging> device_plugging() const;
  Result<void> plug(NicPlan& plan, Plugging how);
  void unplug(device::VirtioNet& nic);
  // What the guest has let go: as soon as no hand-over is under way.
  void remove_ejected();
  void post_removal();
  void with_vcpus_out(const std::function<void()>& change);
  // For what a device's options leave open.
  unsigned free_nic_index() const;
  device::VirtioNet* find_nic(const std::string& id) const;
  void fail_guest(const std::string& why);
  Result<void> restart();
  // Returns when the vCPUs were told to run.
  Instant run_guest();

  // net::ConnectionObserver.
  void netdev_connected(const std::string& id, const schema::SocketAddress& peer) override;
  void netdev_disconnected(const std::string& id) override;
  void vhost_user_connected(const std::string& id, const std::string& chardev) override;
  void vhost_user_disconnected(const std::string& id) override;
  // Behind what waits to be told.
  void tell_in_order(Moment moment);

  void tell(const Moment& moment);
  void note(Event event, int64_t at_ns) { moments_.push_back({.event = event, .at_ns = at_ns}); }
  net::NetdevParts back_end_parts(net::vhost_user::Patience patience) {
    return {environment_.named_fds, environment_.loop, *this, config_.chardevs, patience};
  }
  Result<void> open_back_ends();
  Result<void> tell_ram();
  void thaw_back_ends();
  void announce();
  // The sections of devices, in the order in which they are loaded.
  std::vector<DeviceSection> devices() const;
  template <class State>
  SavedSection save_struct(const char* name, const State& state) const;
  SavedSection save_device(const DeviceSection& device) const;
  Result<void> load_vcpus(LoadedSection& section, Turn turn, Origin origin);
  Result<void> load_device(const DeviceSection& device, LoadedSection& section, Turn turn);
  Result<void> pass_over(const std::vector<LoadedSection>& sections) const;
  Result<void> adopt_early(std::vector<LoadedSection>& sections, const std::set<std::string>& transfer);
  Result<void> adopt_back_ends(std::vector<LoadedSection>& sections, const std::set<std::string>& transfer);
  // Those of movables(), without what the pause has no use for.
  struct Named {
    std::string name;
    vmstate::Movable* movable;
  };
  std::vector<Named> named_movables() const;
  MovableInfo describe(std::string name, std::string_view device, std::string_view kind, bool takes_part,
                       vmstate::Movable& movable) const;

  Config config_;
  const MachineType& type_;
  Environment environment_;
  std::optional<KernelImage> kernel_;
  std::optional<BootFile> initrd_;
  std::optional<AcpiTables> acpi_;
  RunState state_ = RunState::kPrelaunch;
  // Run state before freeze(), for the roll-back and for the destination.
  RunState state_before_freeze_ = RunState::kPrelaunch;
  bool was_running_ = false;
  // In postmigrate: nobody is known to have the guest, so cont() may run it.
  bool may_continue_ = false;
  // A hand-over is under way: both sides have agreed on the devices.
  bool devices_held_ = false;
  bool network_changed_ = false;
  // Until when (CLOCK_MONOTONIC ns) the guest is given time to let a device go, by id.
  std::map<std::string, int64_t> eject_deadlines_;
  // quit() was called: the run state is final.
  bool quitting_ = false;
  // The back ends that left with the guest (source) or came with it (destination).
  std::set<std::string> transferred_;
  std::atomic<GuestRequest> request_{GuestRequest::kNone};
#ifdef PAGURUS_VARIANT
  std::unique_ptr<VariantNoteSection> variant_note_ = std::make_unique<VariantNoteSection>();
#endif
  // A vCPU cannot go on, and fail_guest() has not been called yet.
  std::atomic<bool> failure_pending_{false};
  // Why, of one that was to be called while the guest is held still.
  std::optional<std::string> held_failure_;
  std::vector<MachineObserver*> observers_;
  Announcer announcer_;
  std::vector<Moment> moments_;  // happened in a pause, not yet told
  // Last: its vCPU threads call this object.
  std::unique_ptr<Board> board_;
};

}  // namespace pagurus::machine
