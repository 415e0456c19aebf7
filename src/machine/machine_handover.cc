// The machine leaving one process and entering another (handover.h).
#include <algorithm>
#include <optional>

#include "base/log.h"
#include "machine/machine_impl.h"

namespace pagurus::machine {
namespace {

constexpr const char* kMachineSection = "machine";
constexpr const char* kVcpuSection = "vcpus";
constexpr const char* kVmSection = "vm";

std::string on_off(bool value) { return value ? "on" : "off"; }

// Lets `read` (Reader& -> Result) read a section, and looks at what it has left.
template <class Read>
auto read_section(LoadedSection& section, const vmstate::Description& description, Turn turn, Read read)
    -> decltype(read(std::declval<vmstate::Reader&>())) {
  std::string doing = fmt::format("state section '{}'", section.name);
  TRY_DOING(doing, vmstate::check_version(description, section.version));
  vmstate::Reader reader(section.bytes, std::move(section.fds), section.version);
  auto result = read(reader);
  if (!result) return std::unexpected(std::move(result.error()).while_doing(doing));
  if (reader.unclaimed_fds() != 0) {
    return fail("{}: {} file descriptors arrived that it does not claim", doing, reader.unclaimed_fds());
  }
  for (const std::string& field : reader.passed_over()) {
    if (turn == Turn::kReal) log_warning("{}: field '{}' is unknown here and was passed over", doing, field);
  }
  return result;
}

template <class State>
Result<State> load_struct(LoadedSection& section, Turn turn) {
  return read_section(section, State::description(), turn,
                      [](vmstate::Reader& reader) { return vmstate::read_state<State>(reader); });
}

// Takes the section out of the list, so that what nobody takes is left over.
std::optional<LoadedSection> take_if_there(std::vector<LoadedSection>& sections, const std::string& name) {
  auto found = std::ranges::find(sections, name, &LoadedSection::name);
  if (found == sections.end()) return std::nullopt;
  LoadedSection section = std::move(*found);
  sections.erase(found);
  return section;
}

Result<LoadedSection> take(std::vector<LoadedSection>& sections, const std::string& name) {
  auto section = take_if_there(sections, name);
  if (!section) return fail("state section '{}' is missing", name);
  return std::move(*section);
}

// What has been written, as a section.
SavedSection section_of(std::string name, const vmstate::Writer& writer, bool required = true) {
  return {.name = std::move(name),
          .version = writer.version(),
          .required = required,
          .bytes = writer.bytes(),
          .fds = writer.fds()};
}

// The section of a movable's early state.
std::string early_name(const std::string& movable) { return "early " + movable; }

std::string netdev_name(const net::Backend& netdev) { return "netdev " + netdev.id(); }
std::string console_name(const SerialPlan& serial) { return "console " + serial.id; }

void add_nic_facts(std::vector<Fact>& facts, unsigned slot, const device::VirtioNetConfig& nic, unsigned pairs) {
  facts.push_back({fmt::format("device at 00:{:02x}.0", slot), fmt::format("virtio-net-pci,id={}", nic.id)});
  auto add = [&](const char* property, std::string value) {
    facts.push_back({fmt::format("{}.{}", nic.id, property), std::move(value)});
  };
  add("netdev", nic.netdev);
  add("mac", device::to_string(nic.mac));
  add("host_mtu", fmt::format("{}", nic.host_mtu));
  add("mrg_rxbuf", on_off(nic.mrg_rxbuf));
  add("event_idx", on_off(nic.event_idx));
  add("indirect_desc", on_off(nic.indirect_desc));
  add("csum", on_off(nic.csum));
  add("guest_csum", on_off(nic.guest_csum));
  add("host_tso4", on_off(nic.host_tso4));
  add("host_tso6", on_off(nic.host_tso6));
  add("host_ecn", on_off(nic.host_ecn));
  add("guest_tso4", on_off(nic.guest_tso4));
  add("guest_tso6", on_off(nic.guest_tso6));
  add("guest_ecn", on_off(nic.guest_ecn));
  add("guest_announce", on_off(nic.guest_announce));
  add("rx_queue_size", fmt::format("{}", nic.rx_queue_size));
  add("tx_queue_size", fmt::format("{}", nic.tx_queue_size));
  // What came later is told where it is not as it was before.
  if (nic.host_uso) add("host_uso", on_off(nic.host_uso));
  if (nic.guest_uso4) add("guest_uso4", on_off(nic.guest_uso4));
  if (nic.guest_uso6) add("guest_uso6", on_off(nic.guest_uso6));
  if (nic.mq) add("mq", on_off(nic.mq));
  if (pairs > 1) add("queue pairs of its netdev", fmt::format("{}", pairs));
  if (nic.rss) add("rss", on_off(nic.rss));
  if (nic.hash) add("hash", on_off(nic.hash));
  if (nic.notf_coal) add("notf_coal", on_off(nic.notf_coal));
  if (nic.ctrl_vq != nic.guest_announce) add("ctrl_vq", on_off(nic.ctrl_vq));
  if (nic.ctrl_rx) add("ctrl_rx", on_off(nic.ctrl_rx));
  if (nic.ctrl_rx_extra) add("ctrl_rx_extra", on_off(nic.ctrl_rx_extra));
  if (nic.ctrl_vlan) add("ctrl_vlan", on_off(nic.ctrl_vlan));
  if (nic.ctrl_mac_addr) add("ctrl_mac_addr", on_off(nic.ctrl_mac_addr));
  if (nic.ctrl_guest_offloads) add("ctrl_guest_offloads", on_off(nic.ctrl_guest_offloads));
  if (nic.speed) add("speed", fmt::format("{}", *nic.speed));
  if (nic.duplex) add("duplex", std::string(schema::to_string(*nic.duplex)));
  if (nic.packed) add("packed", on_off(nic.packed));
}

}  // namespace

// --- What is compared -------------------------------------------------------------------------

std::vector<Fact> Machine::Impl::facts() const {
  std::vector<Fact> facts{
      {"machine type", config_.machine_type},
      {"RAM size", fmt::format("{} MiB", config_.ram_size / memory::kMiB)},
      {kRamPageSizeFact, config_.ram_pages == memory::Pages::kHuge2M ? "2 MiB" : "4 KiB"},
      {"number of vCPUs", fmt::format("{}", config_.vcpus)},
      {"CPU model", config_.cpu_model},
  };
  for (unsigned slot = 1; slot < pci::kSlots; ++slot) {
    for (const auto& nic : board_->plan().nics) {
      if (board_->slot_of(*find_nic(nic.config.id)) != slot) continue;
      add_nic_facts(facts, slot, nic.config, nic.backend->queue_pairs());
      // Who serves the rings decides which of their features a driver was offered, and how it goes on.
      if (nic.backend->ring_server() != nullptr) facts.push_back({nic.config.id + ".vhost", "on"});
    }
  }
  return facts;
}

std::vector<SectionInfo> Machine::Impl::sections() const {
  std::vector<SectionInfo> infos;
  auto add = [&](std::string name, const vmstate::Description& description, bool required) {
    uint16_t version = type_.version_of(description);
    infos.push_back({.name = std::move(name),
                     .signature = vmstate::signature(description, version),
                     .version = version,
                     .required = required});
  };
  add(kMachineSection, MachineState::description(), true);
  add(kVcpuSection, kvm::VcpuStates::description(), true);
  add(kVmSection, kvm::VmState::description(), true);
  for (const auto& device : devices()) add(device.name, device.section->description(), device.required);
  return infos;
}

std::vector<DeviceSection> Machine::Impl::devices() const {
  auto devices = board_->sections();
#ifdef PAGURUS_VARIANT
  devices.push_back({.name = "variant-note", .section = variant_note_.get(), .required = false});
#endif
  return devices;
}

MovableInfo Machine::Impl::describe(std::string name, std::string_view device, std::string_view kind, bool takes_part,
                                    vmstate::Movable& movable) const {
  auto declared = movable.movable();
  return {.name = std::move(name),
          .target = fmt::format("{}-{}", device, kind),
          .kind = std::string(kind),
          .signature = declared ? vmstate::signature(**declared, type_.version_of(**declared)) : "",
          .takes_part = takes_part,
          .announced = false,
          .obstacle = declared ? "" : declared.error().message(),
          .movable = &movable};
}

std::vector<Machine::Impl::Named> Machine::Impl::named_movables() const {
  std::vector<Named> named;
  for (net::Backend* netdev : board_->plan().network()) named.push_back({netdev_name(*netdev), netdev});
  const SerialPlan& serial = board_->plan().serial;
  named.push_back({console_name(serial), serial.backend.get()});
  return named;
}

std::vector<MovableInfo> Machine::Impl::movables() const {
  std::vector<MovableInfo> infos;
  for (const auto& nic : board_->plan().nics) {
    infos.push_back(describe(netdev_name(*nic.backend), "virtio-net", nic.backend->kind(), nic.config.backend_transfer,
                             *nic.backend));
    infos.back().announced = nic.backend->announced();
  }
  for (const auto& netdev : board_->plan().netdevs) {
    infos.push_back(describe(netdev_name(*netdev), "virtio-net", netdev->kind(),
                             transfer_default(type_, "virtio-net-pci"), *netdev));
    infos.back().announced = netdev->announced();
  }
  const SerialPlan& serial = board_->plan().serial;
  infos.push_back(
      describe(console_name(serial), "isa-serial", serial.backend->kind(), serial.backend_transfer, *serial.backend));
  return infos;
}

// --- Source -----------------------------------------------------------------------------------

template <class State>
SavedSection Machine::Impl::save_struct(const char* name, const State& state) const {
  vmstate::Writer writer(type_.version_of(State::description()));
  vmstate::write_state(writer, state);
  return section_of(name, writer);
}

SavedSection Machine::Impl::save_device(const DeviceSection& device) const {
  vmstate::Writer writer(type_.version_of(device.section->description()));
  device.section->save(writer);
  return section_of(device.name, writer, device.required);
}

std::vector<SavedSection> Machine::Impl::save_rehearsal(const std::set<std::string>& transfer) {
  std::vector<SavedSection> saved{save_struct(kVcpuSection, kvm::VcpuStates{board_->vcpus().pristine_all()})};
  for (const auto& device : devices()) saved.push_back(save_device(device));
  for (const auto& movable : named_movables()) {
    const vmstate::Description* early = movable.movable->early();
    if (early == nullptr || !transfer.contains(movable.name)) continue;
    vmstate::Writer writer(type_.version_of(*early));
    movable.movable->save_early(writer);
    saved.push_back(section_of(early_name(movable.name), writer, false));
  }
  return saved;
}

Result<void> Machine::Impl::check_guest() const {
  TRY(check_not_quitting());
  switch (state_) {
    case RunState::kRunning:
    case RunState::kPaused:
    case RunState::kPrelaunch: return {};
    default: return fail("a machine in run state '{}' has no guest to hand over", name_of(state_));
  }
}

Result<void> Machine::Impl::check_copy() const {
  for (const auto& nic : board_->nics()) {
    net::RingServer* server = nic->backend().ring_server();
    auto able = server == nullptr ? Result<void>() : server->can_log();
    if (able) continue;
    return std::unexpected(std::move(able.error())
                               .while_doing(fmt::format("netdev '{}': RAM cannot be copied", nic->backend().id()))
                               .remedy("hand the guest over on this host with parameter 'backend-transfer'"));
  }
  return {};
}

void Machine::Impl::freeze() {
  state_before_freeze_ = state_;
  was_running_ = runs();
  if (was_running_) {
    note(Event::kStop, realtime_ns());
    board_->halt(net::PauseReason::kHandover);
  }
  for (const auto& movable : named_movables()) movable.movable->freeze();
  state_ = RunState::kFinishMigrate;
}

Result<std::vector<SavedSection>> Machine::Impl::save(const std::set<std::string>& transfer) {
  if (failure_pending_) return fail("the guest stopped with an internal error");
  transferred_ = transfer;
  std::vector<SavedSection> saved;
  MachineState machine{.request = request_.load()};
#ifdef PAGURUS_VARIANT
  machine.optional_handovers = machine.younger_handovers = variant_note_->handovers() + 1;
#endif
  saved.push_back(save_struct(kMachineSection, machine));
  auto vcpus = TRY(board_->vcpus().save_all());
  saved.push_back(save_struct(kVcpuSection, kvm::VcpuStates{std::move(vcpus)}));
  auto vm = TRY(board_->vm().save());
  saved.push_back(save_struct(kVmSection, vm));
  for (const auto& device : devices()) saved.push_back(save_device(device));
  for (const auto& movable : named_movables()) {
    if (!transfer.contains(movable.name)) continue;
    const vmstate::Description* description = TRY(movable.movable->movable());
    vmstate::Writer writer(type_.version_of(*description));
    TRY_DOING(movable.name, movable.movable->save(writer));
    saved.push_back(section_of(movable.name, writer));
  }
  return saved;
}

void Machine::Impl::resume() {
  // A process that ends does not run its guest again.
  if (quitting_) return;
  thaw_back_ends();
  state_ = state_before_freeze_;
  if (!was_running_) return;
  // One that cannot go on is not run again: fail_guest() is about to say so.
  note(Event::kResume, failure_pending_ ? realtime_ns() : run_guest().realtime_ns);
  if (held_failure_) environment_.loop.post([this, why = *std::exchange(held_failure_, {})] { fail_guest(why); });
}

void Machine::Impl::release(Left left) {
  state_ = RunState::kPostMigrate;
  may_continue_ = left != Left::kTaken;
  if (may_continue_) return;
  request_ = GuestRequest::kNone;
  // What did not leave stays frozen, and ends with this process: its down script, its terminal's mode.
  for (const auto& movable : named_movables()) {
    if (transferred_.contains(movable.name)) movable.movable->release();
  }
}

// --- Destination ------------------------------------------------------------------------------

Result<void> Machine::Impl::attach_ram(UniqueFd memfd) {
  TRY(board_->adopt_ram(std::move(memfd)));
  return tell_ram();
}

Result<void> Machine::Impl::open_untransferred(const std::set<std::string>& transfer) {
  for (net::Backend* netdev : board_->plan().network()) {
    if (!transfer.contains(netdev_name(*netdev))) TRY(netdev->open());
  }
  SerialPlan& serial = board_->plan().serial;
  if (!transfer.contains(console_name(serial))) TRY(serial.backend->open());
  return {};
}

Result<void> Machine::Impl::load_vcpus(LoadedSection& section, Turn turn, Origin origin) {
  auto states = TRY(load_struct<kvm::VcpuStates>(section, turn));
  if (states.vcpus.size() != config_.vcpus)
    return fail("the state has {} vCPUs, this machine {}", states.vcpus.size(), config_.vcpus);
  return board_->vcpus().load_all(states.vcpus, origin);
}

Result<void> Machine::Impl::load_device(const DeviceSection& device, LoadedSection& section, Turn turn) {
  return read_section(section, device.section->description(), turn,
                      [&](vmstate::Reader& reader) { return device.section->load(reader); });
}

Result<void> Machine::Impl::adopt_early(std::vector<LoadedSection>& sections, const std::set<std::string>& transfer) {
  for (const auto& movable : named_movables()) {
    const vmstate::Description* early = movable.movable->early();
    if (early == nullptr || !transfer.contains(movable.name)) continue;
    auto section = take_if_there(sections, early_name(movable.name));
    if (!section) continue;
    TRY(read_section(*section, *early, Turn::kRehearsal,
                     [&](vmstate::Reader& reader) { return movable.movable->adopt_early(reader); }));
  }
  return {};
}

Result<void> Machine::Impl::load_rehearsal(std::vector<LoadedSection> sections, const std::set<std::string>& transfer) {
  TRY(adopt_early(sections, transfer));
  auto vcpus = TRY(take(sections, kVcpuSection));
  // Its clocks are nobody's, so it does not matter whose they were.
  TRY(load_vcpus(vcpus, Turn::kRehearsal, Origin::kThisHost));
  for (const auto& device : devices()) {
    auto section = take_if_there(sections, device.name);
    if (!section && device.required) return fail("state section '{}' is missing", device.name);
    if (!section) continue;
    // The guest runs while this snapshot is taken, so its parts may not fit together; the real
    // state will.
    if (auto loaded = load_device(device, *section, Turn::kRehearsal); !loaded) {
      log_debug("rehearsal: {}", loaded.error().message());
    }
  }
  return {};
}

Result<void> Machine::Impl::adopt_back_ends(std::vector<LoadedSection>& sections,
                                            const std::set<std::string>& transfer) {
  for (const auto& movable : named_movables()) {
    if (!transfer.contains(movable.name)) continue;
    auto section = TRY(take(sections, movable.name));
    const vmstate::Description* description = TRY(movable.movable->movable());
    TRY(read_section(section, *description, Turn::kReal,
                     [&](vmstate::Reader& reader) { return movable.movable->adopt(reader); }));
  }
  return {};
}

Result<void> Machine::Impl::load(std::vector<LoadedSection> sections, const std::set<std::string>& transfer,
                                 Origin origin) {
  // A guest that was taken now would end with this process.
  TRY(check_not_quitting());
  transferred_ = transfer;
  TRY(adopt_back_ends(sections, transfer));
  auto machine = TRY(take(sections, kMachineSection));
  request_ = TRY(load_struct<MachineState>(machine, Turn::kReal)).request;
  auto vcpus = TRY(take(sections, kVcpuSection));
  TRY(load_vcpus(vcpus, Turn::kReal, origin));
  auto vm = TRY(take(sections, kVmSection));
  auto vm_state = TRY(load_struct<kvm::VmState>(vm, Turn::kReal));
  TRY(board_->vm().load(vm_state, origin));
  for (const auto& device : devices()) {
    auto section = take_if_there(sections, device.name);
    if (!section && device.required) return fail("state section '{}' is missing", device.name);
    // An optional one that the source has not: this device stays as it was made.
    if (section) TRY(load_device(device, *section, Turn::kReal));
  }
  return pass_over(sections);
}

// What nobody has taken.
Result<void> Machine::Impl::pass_over(const std::vector<LoadedSection>& rest) const {
  // In the pause: their declarations as texts take longer than anything else here.
  if (rest.empty()) return {};
  auto known = sections();
  for (const LoadedSection& section : rest) {
    bool twice = std::ranges::count(known, section.name, &SectionInfo::name) != 0;
    if (twice) return fail("state section '{}' arrived twice", section.name);
    if (section.required) return fail("state section '{}' belongs to no device of this machine", section.name);
    log_warning("state section '{}' is unknown here and was passed over", section.name);
  }
  return {};
}

int64_t Machine::Impl::enter(Enter how) {
  thaw_back_ends();
  announce();
  if (how == Enter::kPaused) {
    // Who serves rings in another process has gone on until now.
    for (auto& nic : board_->nics()) nic->wait_frozen(net::PauseReason::kStop);
    board_->vcpus().note_long_pause();
    state_ = RunState::kPaused;
    return monotonic_ns();
  }
  Instant told = run_guest();
  note(Event::kResume, told.realtime_ns);
  return told.monotonic_ns;
}

// The network that a NIC has come to is told where the guest is now, by the guest and without it.
void Machine::Impl::announce() {
  std::set<std::string> moved;
  for (auto& nic : board_->nics()) {
    bool same_wire = transferred_.contains(netdev_name(nic->backend()));
    if (same_wire) continue;
    nic->renew_backend();
    nic->announce();
    moved.insert(nic->config().id);
  }
  if (moved.empty()) return;
  announcer_.start([this, moved = std::move(moved)] {
    for (auto& nic : board_->nics()) {
      if (moved.contains(nic->config().id)) nic->announce_by_rarp();
    }
  });
}

}  // namespace pagurus::machine
