#include "pci/function.h"

#include <bit>

#include "base/log.h"

namespace pagurus::pci {
namespace {

constexpr uint8_t kCapabilityMsix = 0x11;
constexpr uint16_t kMsixEnable = 1 << 15;
constexpr uint16_t kMsixFunctionMask = 1 << 14;

uint16_t bar_register(unsigned index) { return static_cast<uint16_t>(kBar0 + 4 * index); }

}  // namespace

const vmstate::Description& PciFunctionState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&PciFunctionState::config>("config"),
      vmstate::field<&PciFunctionState::msix>("msix"),
  };
  static constexpr vmstate::Description kDescription{"pci-function", 1, kFields};
  return kDescription;
}

PciFunction::PciFunction(std::string name, const Identity& identity, bus::IoBus& mmio)
    : name_(std::move(name)), mmio_(mmio), config_(identity) {}

PciFunction::~PciFunction() {
  for (Bar& bar : bars_) unmap(bar);
}

void PciFunction::add_bar(unsigned index, uint32_t size, bus::IoHandler& handler, BarListener* listener) {
  CHECK(index < kBars && bars_[index].size == 0, "a BAR is added once");
  CHECK(size >= 16 && std::has_single_bit(size), "a BAR's size is a power of two");
  bars_[index] = {.size = size, .handler = &handler, .listener = listener};
  config_.set_writable<uint32_t>(bar_register(index), ~(size - 1));
}

uint8_t PciFunction::add_capability(uint8_t id, std::span<const uint8_t> body, std::span<const uint8_t> writable) {
  return config_.add_capability(id, body, writable);
}

Msix& PciFunction::add_msix(unsigned bar, uint16_t vectors, bus::MsiSink& sink) {
  CHECK(!msix_, "a function has one MSI-X table");
  msix_ = std::make_unique<Msix>(vectors, sink);
  add_bar(bar, msix_->region_size(), *msix_);
  std::array<uint8_t, 10> body{};
  store_le<uint16_t>(body.data(), static_cast<uint16_t>(vectors - 1));
  store_le<uint32_t>(body.data() + 2, bar);
  store_le<uint32_t>(body.data() + 6, msix_->pending_offset() | bar);
  std::array<uint8_t, 10> writable{};
  store_le<uint16_t>(writable.data(), kMsixEnable | kMsixFunctionMask);
  msix_capability_ = config_.add_capability(kCapabilityMsix, body, writable);
  return *msix_;
}

void PciFunction::add_window(uint16_t offset, uint16_t size, bus::IoHandler& handler) {
  CHECK(window_.handler == nullptr, "a function has one window");
  window_ = {.offset = offset, .size = size, .handler = &handler};
}

void PciFunction::set_power_on_bar(unsigned index, uint32_t address) {
  std::lock_guard lock(lock_);
  CHECK(bars_[index].size != 0 && address % bars_[index].size == 0, "a BAR is naturally aligned");
  bars_[index].power_on = address;
  config_.set<uint32_t>(bar_register(index), address);
  update_bars();
}

bool PciFunction::in_window(uint16_t offset, unsigned size) const {
  return window_.handler != nullptr && offset >= window_.offset && offset + size <= window_.offset + window_.size;
}

uint32_t PciFunction::config_read(uint16_t offset, unsigned size) const {
  if (in_window(offset, size)) {
    return static_cast<uint32_t>(window_.handler->io_read(offset - window_.offset, size));
  }
  std::lock_guard lock(lock_);
  return config_.read(offset, size);
}

void PciFunction::config_write(uint16_t offset, unsigned size, uint32_t value) {
  if (in_window(offset, size)) {
    window_.handler->io_write(offset - window_.offset, size, value);
    return;
  }
  std::lock_guard lock(lock_);
  config_.write(offset, size, value);
  update_bars();
  update_msix();
}

// Where a BAR should be mapped now; nothing while decoding is off or the address is 0.
std::optional<uint32_t> PciFunction::wanted_address(unsigned index) const {
  if ((config_.get<uint16_t>(kCommand) & kCommandMemory) == 0) return std::nullopt;
  uint32_t address = config_.get<uint32_t>(bar_register(index)) & ~(bars_[index].size - 1);
  if (bars_[index].size == 0 || address == 0) return std::nullopt;
  return address;
}

void PciFunction::unmap(Bar& bar) {
  if (!bar.mapped) return;
  if (bar.listener != nullptr) bar.listener->bar_unmapped({*bar.mapped});
  mmio_.unmap(*bar.mapped);
  bar.mapped.reset();
}

void PciFunction::update_bars() {
  // All that move leave first, so that two BARs can change places.
  for (unsigned i = 0; i < kBars; ++i) {
    if (bars_[i].mapped != wanted_address(i)) unmap(bars_[i]);
  }
  for (unsigned i = 0; i < kBars; ++i) {
    Bar& bar = bars_[i];
    auto wanted = wanted_address(i);
    if (!wanted || bar.mapped) continue;
    auto mapped = mmio_.map(*wanted, bar.size, name_ + " BAR " + std::to_string(i), *bar.handler);
    if (!mapped) {
      if (faults_.note()) log_warning("the guest put a BAR where it cannot be: {}", mapped.error().message());
      continue;
    }
    bar.mapped = wanted;
    if (bar.listener != nullptr) bar.listener->bar_mapped({*wanted});
  }
}

void PciFunction::update_msix() {
  if (!msix_) return;
  uint16_t control = config_.get<uint16_t>(static_cast<uint16_t>(msix_capability_ + 2));
  msix_->set_control((control & kMsixEnable) != 0, (control & kMsixFunctionMask) != 0);
}

void PciFunction::reset() {
  std::lock_guard lock(lock_);
  // Software can change nothing but what a write of zeroes clears; the BARs then get their addresses.
  for (uint16_t offset = 0; offset < kConfigBytes; offset += 4) config_.write(offset, 4, 0);
  for (unsigned i = 0; i < kBars; ++i) {
    if (bars_[i].size != 0) config_.set<uint32_t>(bar_register(i), bars_[i].power_on);
  }
  update_bars();
  if (msix_) msix_->reset();
}

const vmstate::Description& PciFunction::description() const { return PciFunctionState::description(); }

void PciFunction::save(vmstate::Writer& writer) const {
  std::lock_guard lock(lock_);
  PciFunctionState state{.config = config_.bytes()};
  if (msix_) state.msix = msix_->save();
  vmstate::write_state(writer, state);
}

Result<void> PciFunction::load(vmstate::Reader& reader) {
  auto state = TRY_DOING(name_, vmstate::read_state<PciFunctionState>(reader));
  std::lock_guard lock(lock_);
  TRY_DOING(name_, config_.check(state.config));
  if (msix_) {
    TRY_DOING(name_, msix_->load(state.msix));
  } else if (!state.msix.table.empty()) {
    return fail("{}: an MSI-X table where this device has none", name_);
  }
  config_.replace(state.config);
  update_bars();
  update_msix();
  return {};
}

}  // namespace pagurus::pci
