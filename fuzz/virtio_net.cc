// A guest that does anything to its network card: any register access, any byte in its rings, kicks,
// traffic and hand-overs between.  Whatever it does, the device stays alive, can be handed over, and
// works again after a reset.
#include "fuzz/input.h"
#include "fuzz/net_guest.h"
#include "fuzz/target.h"

namespace pagurus::fuzz {
namespace {

enum Step : uint8_t {
  kWrite,
  kRead,
  kConfigWrite,
  kConfigRead,
  kRam,
  kKick,
  kInject,
  kDrive,
  kOffer,
  kAvail,
  kEntry,
  kEvent,
  kCommand,
  kHandOver,
  kReset,
  kLink,
  kSettle,
  kSteps,
};

unsigned size_of(uint8_t choice) { return 1u << choice % 4; }

void power_cycle(NetGuest& guest) {
  guest.vmm->freeze();
  guest.vmm->net->reset();
  guest.vmm->net->thaw();
}

void settle(NetGuest& guest) {
  guest.vmm->freeze();
  guest.vmm->net->thaw();
}

void offer(NetGuest& guest, Input& input) {
  uint8_t choice = input.number<uint8_t>();
  std::vector<virtio::testing::Buffer> buffers;
  for (unsigned count = 1 + choice / 3 % 4; count > 0; --count) {
    uint32_t address = input.number<uint32_t>();
    uint32_t length = input.number<uint16_t>();
    // Mostly in RAM, a few beyond its end.
    buffers.push_back({address % (65u << 20), length, input.number<uint8_t>() % 2 == 1});
  }
  guest.ring(choice).offer(buffers);
}

// An entry of a packed ring, offered or not.
void write_entry(NetGuest& guest, Input& input) {
  uint8_t choice = input.number<uint8_t>();
  uint16_t index = input.number<uint8_t>() % 13;
  uint32_t address = input.number<uint32_t>();
  uint32_t length = input.number<uint16_t>();
  uint16_t id = input.number<uint16_t>();
  guest.packed_ring(choice).set_descriptor(
      index, {.address = address % (65u << 20), .length = length, .id = id, .flags = input.number<uint16_t>()});
}

void access_register(NetGuest& guest, Input& input, Step step) {
  using device::testing::kBar;
  uint64_t at = kBar + input.number<uint16_t>() % 0x5000;
  unsigned size = size_of(input.number<uint8_t>());
  if (step == kRead) {
    (void)guest.vmm->mmio.read(at, size);
  } else {
    guest.vmm->mmio.write(at, size, input.number<uint64_t>() & (UINT64_MAX >> (64 - 8 * size)));
  }
}

void access_config(NetGuest& guest, Input& input, Step step) {
  // As the bus passes it on: inside the function's 4 KiB, 1, 2 or 4 bytes, aligned or not.
  unsigned size = 1u << input.number<uint8_t>() % 3;
  uint16_t choice = input.number<uint16_t>();
  auto at = static_cast<uint16_t>(choice % 16 == 0 ? 0x1000 - size : choice % 0x100);
  auto& function = guest.vmm->net->function();
  if (step == kConfigRead) {
    (void)function.config_read(at, size);
  } else {
    function.config_write(at, size, input.number<uint32_t>() & (UINT32_MAX >> (32 - 8 * size)));
  }
}

void run(NetGuest& guest, Input& input) {
  auto step = static_cast<Step>(input.number<uint8_t>() % kSteps);
  switch (step) {
    case kWrite:
    case kRead: return access_register(guest, input, step);
    case kConfigWrite:
    case kConfigRead: return access_config(guest, input, step);
    case kRam: {
      uint64_t at = 0x10000 * (1 + input.number<uint8_t>() % 4) + input.number<uint16_t>();
      guest.ram.write({at}, input.take(1 + input.number<uint8_t>() % 32));
      return;
    }
    case kKick: return guest.kick(input.number<uint8_t>() % 4);
    case kInject: {
      auto frame = input.take(input.number<uint16_t>() % 4096);
      (void)::send(guest.peer.get(), frame.data(), frame.size(), MSG_DONTWAIT);
      return;
    }
    case kDrive: return guest.drive(input.number<uint64_t>());
    case kOffer: return offer(guest, input);
    case kAvail: return guest.split_ring(input.number<uint8_t>()).set_avail(input.number<uint16_t>());
    case kEntry: return write_entry(guest, input);
    case kEvent: {
      auto& ring = guest.packed_ring(input.number<uint8_t>());
      uint16_t position = input.number<uint16_t>();
      return ring.set_driver_event({.position = position, .flags = input.number<uint8_t>()});
    }
    case kCommand: {
      // Mostly a command that there is, with data of about its size.
      uint8_t group = input.number<uint8_t>() % 7;
      uint8_t code = input.number<uint8_t>() % 7;
      auto data = input.take(input.number<uint8_t>() % 64);
      (void)guest.post(guest.ring(2), group, code, {data.begin(), data.end()});
      return guest.kick(2);
    }
    case kHandOver: guest.hand_over(); return guest.vmm->net->thaw();
    case kReset: return power_cycle(guest);
    case kLink:
      guest.vmm->net->set_link(input.number<uint8_t>() % 2 == 1);
      (void)guest.vmm->net->announce();
      return;
    default: return settle(guest);
  }
}

}  // namespace

std::vector<Bytes> seeds() {
  Bytes up{kDrive, 0, 0, 0, 0, 1, 0, 0, 0};
  // Bit 34 is the packed ring.
  Bytes all{kDrive, 0xff, 0xff, 0xff, 0xff, 0xfb, 0xff, 0xff, 0x7f};
  Bytes packed{kDrive, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
  Bytes plain{kDrive, 0, 0, 2, 0, 5, 0, 0, 0};
  // Ring, index, address, length, id, flags: available in the first round.
  Bytes entry{kEntry, 0, 0, 0, 0, 0, 1, 0, 8, 7, 0, 0x82, 0, kKick, 0, kEvent, 0, 3, 0x80, 2};
  Bytes table{kEntry, 1, 0, 0, 0, 3, 0, 32, 0, 7, 0, 0x84, 0, kKick, 1};
  // One buffer per ring: ring and count, address, length, direction.
  Bytes room{kOffer, 0, 0, 0, 0, 1, 0, 8, 1, kKick, 0};
  Bytes frame{kOffer, 1, 0, 0, 0, 2, 64, 0, 0, kKick, 1};
  Bytes command{kOffer, 5, 0, 0, 0, 3, 2, 0, 0, 0, 1, 0, 3, 1, 0, 1, kKick, 2};
  Bytes traffic{kInject, 64, 0};
  traffic.resize(traffic.size() + 64, 0xaa);
  Bytes moved{kHandOver, kSettle};
  Bytes access{kConfigWrite, 2, 0x54, 0, 0, 0, 0, 0, kWrite, 0x14, 0, 0, 0xf, 0, 0, 0, 0, 0, 0, 0};
  Bytes modes{kCommand, 0, 0, 1, 0, kCommand, 0, 1, 1, 1, kCommand, 1, 1, 6, 2, 0, 0, 0, 0, 1};
  Bytes vlans{kCommand, 2, 0, 2, 5, 0, kCommand, 2, 1, 2, 5, 0, kCommand, 5, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0};
  auto chain = [](std::initializer_list<Bytes> parts) {
    Bytes all_parts;
    for (const Bytes& part : parts) all_parts.insert(all_parts.end(), part.begin(), part.end());
    return all_parts;
  };
  return {chain({up, room, frame, traffic, moved, room, traffic, frame}),
          chain({all, command, room, room, traffic, traffic, frame, moved}),
          chain({all, modes, room, traffic, moved, vlans, room, traffic, moved}),
          chain({packed, room, frame, traffic, moved, room, traffic, frame}),
          chain({packed, command, modes, room, traffic, moved, vlans, room, traffic, frame}),
          chain({plain, entry, traffic, table, moved, modes, {kReset}, plain, entry, traffic}),
          chain({up, access, {kReset}, up, frame, {kLink, 0}, traffic, room, {kLink, 1}}),
          chain({up, {kRam, 0, 2, 0x40, 3, 9, 0, 0, 0}, {kAvail, 1, 0xff, 0xff}, frame, moved})};
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus;
  fuzz::NetGuest guest;
  fuzz::Input input(data, size);
  for (int steps = 0; !input.empty() && steps < 64; ++steps) fuzz::run(guest, input);
  auto before = guest.hand_over();
  bool broken = (guest.vmm->net->device_status() & virtio::kStatusNeedsReset) != 0;
  // A device that waits for its reset has no queues any more, and so no positions.
  if (!broken) CHECK(guest.vmm->save() == before, "a hand-over changes nothing of the state");
  guest.check_recovery();
  return 0;
}
