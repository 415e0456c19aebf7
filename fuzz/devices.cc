// Device state as a hostile peer sends it, loaded into real devices: what is accepted must then
// survive a guest, and be saved again.
#include <sys/ioctl.h>

#include "chardev/null_backend.h"
#include "device/power/power_control.h"
#include "device/serial/uart_16550.h"
#include "fuzz/input.h"
#include "fuzz/net_guest.h"
#include "fuzz/target.h"

namespace pagurus::fuzz {
namespace {

enum Kind : uint8_t { kUart, kPower, kBus, kNet, kKinds };

struct Machine final : bus::EdgeLine, device::PowerSink {
  void pulse() override {}
  void guest_power_off() override {}
  void guest_reset() override {}
};

Result<void> load(vmstate::Section& section, std::span<const uint8_t> bytes) {
  vmstate::Reader reader(bytes, {});
  return section.load(reader);
}

Bytes save(const vmstate::Section& section) {
  vmstate::Writer writer;
  section.save(writer);
  return writer.bytes();
}

void check_saved(vmstate::Section& section, std::span<const uint8_t> loaded) {
  CHECK(std::ranges::equal(save(section), loaded), "what was loaded is what is saved");
}

void poke(bus::IoHandler& handler, unsigned registers, Input& input) {
  while (!input.empty()) {
    uint8_t choice = input.number<uint8_t>();
    if ((choice & 0x80) != 0) {
      (void)handler.io_read(choice % registers, 1);
    } else {
      handler.io_write(choice % registers, 1, input.number<uint8_t>());
    }
  }
}

void load_uart(Input& input) {
  Machine machine;
  chardev::NullBackend backend("serial0");
  CHECK(backend.open().has_value(), "nothing opens easily");
  device::Uart16550 uart(backend, machine);
  auto state = input.piece();
  if (!load(uart, state)) return;
  check_saved(uart, state);
  backend.thaw();
  size_t room = uart.can_receive();
  uart.receive(Bytes(room, 'x'));
  poke(uart, 8, input);
  Bytes after = save(uart);
  CHECK(load(uart, after).has_value(), "a serial port accepts its own state");
}

void load_power(Input& input) {
  Machine machine;
  device::PowerControl power(machine, machine);
  auto state = input.piece();
  if (!load(power, state)) return;
  poke(power.ports(), 3, input);
  CHECK(load(power, save(power)).has_value(), "the power control accepts its own state");
}

void load_bus(Input& input) {
  bus::IoBus mmio;
  pci::PciBus bus(mmio, {.base = 0xc000'0000, .size = 0x100'0000});
  auto state = input.piece();
  if (!load(bus, state)) return;
  check_saved(bus, state);
  for (uint64_t at : {0, 3, 4, 7}) {
    (void)bus.config_ports().io_read(at, 1);
    bus.config_ports().io_write(at, 1, input.number<uint8_t>());
  }
}

// The three sections of a card whose guest has left its rings in RAM.
void load_net(Input& input) {
  NetGuest guest;
  guest.vmm->freeze();
  for (auto& [name, section] : guest.vmm->net->sections()) {
    auto state = input.piece();
    if (!load(section, state)) return guest.check_recovery();
  }
  guest.rx.offer({{0x100'0000, 2048, true}});
  guest.tx.offer({{0x200'0000, 64}});
  guest.inject(Bytes(64));
  guest.vmm->net->thaw();
  for (unsigned queue = 0; queue < 3; ++queue) guest.kick(queue);
  (void)guest.vmm->net->announce();
  guest.hand_over();
  guest.check_recovery();
}

void put_piece(Bytes& input, const Bytes& piece) {
  input.push_back(static_cast<uint8_t>(piece.size()));
  input.push_back(static_cast<uint8_t>(piece.size() >> 8));
  input.insert(input.end(), piece.begin(), piece.end());
}

Bytes seed(Kind kind, const std::vector<Bytes>& sections) {
  Bytes input{kind};
  for (const Bytes& section : sections) put_piece(input, section);
  return input;
}

}  // namespace

std::vector<Bytes> seeds() {
  Machine machine;
  chardev::NullBackend backend("serial0");
  device::Uart16550 uart(backend, machine);
  // Interrupts and FIFOs on, a byte in loopback, and one that the back end has not taken.
  for (auto [at, value] : {std::pair{1, 0x0f}, {2, 0xc1}, {4, 0x1b}, {0, 'x'}, {4, 0x0b}, {0, 'y'}}) {
    uart.io_write(static_cast<uint64_t>(at), 1, static_cast<uint64_t>(value));
  }
  device::PowerControl power(machine, machine);
  bus::IoBus mmio;
  pci::PciBus bus(mmio, {.base = 0xc000'0000, .size = 0x100'0000});
  std::vector<Bytes> all{seed(kUart, {save(uart)}), seed(kPower, {save(power)}), seed(kBus, {save(bus)})};

  NetGuest guest;
  all.push_back(seed(kNet, guest.hand_over()));
  guest.vmm->net->thaw();
  guest.drive(~NetGuest::kAnyFeature & ~virtio::kFeatureRingPacked);
  // Longer than the room: the rest is held.
  guest.offer_rx(1000);
  guest.kick(0);
  guest.inject(Bytes(1800));
  auto taken = [&guest] {
    int waiting = 1;
    return ::ioctl(guest.wire.get(), FIONREAD, &waiting) == 0 && waiting == 0;
  };
  CHECK(device::testing::eventually(taken), "the card reads what the network sends");
  all.push_back(seed(kNet, guest.hand_over()));
  guest.vmm->net->thaw();
  guest.drive(~NetGuest::kAnyFeature);
  all.push_back(seed(kNet, guest.hand_over()));
  return all;
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus::fuzz;
  Input input(data, size);
  switch (input.number<uint8_t>() % kKinds) {
    case kUart: load_uart(input); break;
    case kPower: load_power(input); break;
    case kBus: load_bus(input); break;
    default: load_net(input); break;
  }
  return 0;
}
