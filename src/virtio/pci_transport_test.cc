#include "virtio/pci_transport.h"

#include <gtest/gtest.h>

#include "pci/bus.h"
#include "pci/testing/fakes.h"
#include "virtio/testing/packed_ring_builder.h"
#include "virtio/testing/ring_builder.h"

namespace pagurus::virtio {
namespace {

// A device that only remembers what its transport told it.
class QuietDevice final : public Device {
 public:
  uint16_t type() const override { return 4; }
  std::span<const uint16_t> queue_sizes() const override { return sizes_; }
  uint64_t features() const override { return offered; }
  bool accepts(uint64_t) const override { return true; }
  std::vector<uint8_t> config_space() const override { return {0x11, 0x22, 0x33}; }
  Result<void> activate(Activation activation) override {
    activations.push_back(std::move(activation));
    return {};
  }
  void deactivate() override { ++deactivations; }
  std::optional<QueuePosition> position(unsigned) const override { return QueuePosition{.avail = 5, .used = 5}; }

  uint64_t offered = kFeatureVersion1 | kFeatureEventIdx;
  std::vector<Activation> activations;
  int deactivations = 0;

 private:
  std::array<uint16_t, 1> sizes_{128};
};

struct Rig {
  explicit Rig(const memory::GuestMemory& ram)
      : transport(*PciTransport::create({.name = "quiet",
                                         .class_code = 0,
                                         .device = device,
                                         .memory = ram,
                                         .mmio = mmio,
                                         .msi = msi,
                                         .doorbells = doorbells})) {
    EXPECT_TRUE(pci.add(transport->function(), std::nullopt));
    EXPECT_TRUE(pci.assign_bars());
    transport->function().config_write(pci::kCommand, 2, pci::kCommandMemory);
  }
  bus::IoBus mmio;
  pci::testing::RecordingMsi msi;
  pci::testing::RecordingDoorbells doorbells;
  QuietDevice device;
  pci::PciBus pci{mmio, {.base = 0xc000'0000, .size = 0x10'0000}};
  std::unique_ptr<PciTransport> transport;
};

struct PciTransportTest : ::testing::Test {
  PciTransportTest() {
    EXPECT_TRUE(ram.allocate());
    rig.emplace(ram);
  }
  uint64_t get(uint64_t offset, unsigned size) { return rig->mmio.read(0xc000'0000 + offset, size); }
  void set(uint64_t offset, unsigned size, uint64_t value) { rig->mmio.write(0xc000'0000 + offset, size, value); }
  void set_features(uint64_t features) {
    for (unsigned i = 0; i < 2; ++i) {
      set(8, 4, i);
      set(12, 4, features >> (32 * i) & 0xffff'ffff);
    }
  }
  void set_queue(const QueueConfig& queue) {
    set(0x18, 2, queue.size);
    set(0x20, 8, queue.descriptors.value);
    set(0x28, 8, queue.avail.value);
    set(0x30, 8, queue.used.value);
    set(0x1c, 2, 1);
  }
  void bring_up() {
    set(0x14, 1, 3);
    set_features(kFeatureVersion1);
    set(0x14, 1, 0xb);
    set_queue(ring.config());
    set(0x14, 1, 0xf);
  }

  memory::GuestMemory ram = *memory::GuestMemory::create(64 * memory::kMiB, memory::Pages::kSmall);
  testing::RingBuilder ring{ram, {0x10000}, 16};
  std::optional<Rig> rig;
};

TEST_F(PciTransportTest, a_driver_that_follows_the_rules_activates_the_device_once) {
  bring_up();
  EXPECT_EQ(get(0x14, 1), 0xfu);
  set(0x14, 1, 0xf);
  ASSERT_EQ(rig->device.activations.size(), 1u);
  const Activation& activation = rig->device.activations[0];
  EXPECT_EQ(activation.features, kFeatureVersion1);
  EXPECT_EQ(activation.origin, Origin::kDriver);
  EXPECT_EQ(activation.queues[0]->size(), 16);
  set(0x14, 1, 0);
  EXPECT_EQ(rig->device.deactivations, 1);
  EXPECT_EQ(get(0x14, 1), 0u);
  EXPECT_EQ(get(0x18, 2), 128u) << "the queue's registers are as at power-on";
  EXPECT_EQ(get(0x1c, 2), 0u);
}

TEST_F(PciTransportTest, a_doorbell_that_the_host_refused_is_not_detached) {
  rig->transport->function().config_write(pci::kCommand, 2, 0);
  EXPECT_TRUE(rig->doorbells.attached.empty());
  rig->doorbells.refuse = true;
  rig->transport->function().config_write(pci::kCommand, 2, pci::kCommandMemory);
  rig->transport->function().config_write(pci::kCommand, 2, 0);
  rig->doorbells.refuse = false;
  rig->transport->function().config_write(pci::kCommand, 2, pci::kCommandMemory);
  EXPECT_EQ(rig->doorbells.attached.size(), 1u);
}

TEST_F(PciTransportTest, driver_ok_without_features_ok_needs_a_reset) {
  set(0x14, 1, 3);
  set(0x14, 1, 7);
  EXPECT_EQ(get(0x14, 1) & kStatusNeedsReset, kStatusNeedsReset);
  EXPECT_TRUE(rig->device.activations.empty());
  set(0x14, 1, 0);
  bring_up();
  EXPECT_EQ(rig->device.activations.size(), 1u);
}

TEST_F(PciTransportTest, a_queue_outside_ram_needs_a_reset) {
  set(0x14, 1, 3);
  set_features(kFeatureVersion1);
  set(0x14, 1, 0xb);
  QueueConfig queue = ring.config();
  queue.used.value = uint64_t{1} << 40;
  set_queue(queue);
  set(0x14, 1, 0xf);
  EXPECT_EQ(get(0x14, 1) & kStatusNeedsReset, kStatusNeedsReset);
  EXPECT_TRUE(rig->device.activations.empty());
}

TEST_F(PciTransportTest, an_enabled_queue_and_agreed_features_do_not_change) {
  bring_up();
  set(0x20, 8, 0x50000);
  EXPECT_EQ(get(0x20, 8), 0x10000u);
  set_features(0);
  set(8, 4, 1);
  EXPECT_EQ(get(12, 4), 1u);
  EXPECT_GT(rig->transport->guest_faults(), 0u);
}

TEST_F(PciTransportTest, feature_halves_beyond_64_bits_are_empty) {
  set(0, 4, 1);
  EXPECT_EQ(get(4, 4), 1u);
  set(0, 4, 2);
  EXPECT_EQ(get(4, 4), 0u);
}

TEST_F(PciTransportTest, addresses_can_be_written_by_halves) {
  set(0x20, 4, 0x1234'5670);
  set(0x24, 4, 0x1);
  EXPECT_EQ(get(0x20, 8), 0x1'1234'5670u);
  EXPECT_EQ(get(0x24, 4), 1u);
}

TEST_F(PciTransportTest, the_isr_is_cleared_by_reading_it) {
  rig->transport->interrupt_queue(0);
  rig->transport->interrupt_config();
  EXPECT_EQ(get(0x1000, 1), 3u);
  EXPECT_EQ(get(0x1000, 1), 0u);
  EXPECT_TRUE(rig->msi.take().empty()) << "MSI-X is off";
}

TEST_F(PciTransportTest, a_change_of_configuration_changes_the_generation) {
  uint64_t before = get(0x15, 1);
  rig->transport->interrupt_config();
  EXPECT_NE(get(0x15, 1), before);
}

TEST_F(PciTransportTest, the_device_configuration_ends_where_it_ends) {
  EXPECT_EQ(get(0x2000, 4), 0x0033'2211u);
  EXPECT_EQ(get(0x2ffc, 4), 0u);
}

TEST_F(PciTransportTest, a_notify_write_that_traps_counts_in_the_eventfd) {
  set(0x3000, 2, 0);
  EXPECT_TRUE(drain_eventfd(rig->transport->kick_fd(0)));
  set(0x3004, 2, 0);
  EXPECT_FALSE(drain_eventfd(rig->transport->kick_fd(0))) << "no such queue";
}

TEST_F(PciTransportTest, a_saved_driver_is_restored_where_it_was) {
  bring_up();
  vmstate::Writer writer;
  rig->transport->save(writer);
  Rig next(ram);
  for (int i = 0; i < 2; ++i) {
    vmstate::Reader reader(writer.bytes(), {});
    ASSERT_TRUE(next.transport->load(reader));
  }
  ASSERT_EQ(next.device.activations.size(), 2u);
  const Activation& activation = next.device.activations[1];
  EXPECT_EQ(activation.origin, Origin::kRestored);
  EXPECT_EQ(activation.queues[0]->position().avail, 5);
  EXPECT_EQ(next.transport->status(), 0xf);
}

TEST_F(PciTransportTest, a_packed_ring_begins_and_goes_on_with_its_wrap_counters) {
  rig->device.offered |= kFeatureRingPacked;
  set(0x14, 1, 3);
  set_features(kFeatureVersion1 | kFeatureRingPacked);
  set(0x14, 1, 0xb);
  testing::PackedRingBuilder packed(ram, {0x10000}, 7);
  set_queue(packed.config());
  set(0x14, 1, 0xf);
  ASSERT_EQ(rig->device.activations.size(), 1u);
  EXPECT_EQ(rig->device.activations[0].queues[0]->position(), (QueuePosition{.avail = 0x8000, .used = 0x8000}));

  // The device says that it is at 5 and 5, of the other round.
  vmstate::Writer writer;
  rig->transport->save(writer);
  Rig next(ram);
  next.device.offered |= kFeatureRingPacked;
  vmstate::Reader reader(writer.bytes(), {});
  ASSERT_TRUE(next.transport->load(reader));
  EXPECT_EQ(next.device.activations[0].queues[0]->position(), (QueuePosition{.avail = 5, .used = 5}));

  // A position is the last number of the state.
  auto bytes = writer.bytes();
  store_le<uint16_t>(bytes.data() + bytes.size() - 2, 7);
  Rig other(ram);
  other.device.offered |= kFeatureRingPacked;
  vmstate::Reader spoiled(bytes, {});
  auto loaded = other.transport->load(spoiled);
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message().find("position"), std::string::npos) << loaded.error().message();
}

TEST_F(PciTransportTest, a_state_that_does_not_fit_is_refused) {
  bring_up();
  vmstate::Writer writer;
  rig->transport->save(writer);
  Rig less(ram);
  less.device.offered = 0;
  vmstate::Reader reader(writer.bytes(), {});
  EXPECT_FALSE(less.transport->load(reader));

  // The used ring's address is the last but two numbers of the state: put it outside RAM.
  auto bytes = writer.bytes();
  store_le<uint64_t>(bytes.data() + bytes.size() - 12, uint64_t{1} << 40);
  Rig other(ram);
  vmstate::Reader spoiled(bytes, {});
  auto loaded = other.transport->load(spoiled);
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message().find("used ring"), std::string::npos) << loaded.error().message();

  // A driver that is up without features agreed on, which could be any.
  vmstate::Reader whole(writer.bytes(), {});
  auto state = *vmstate::read_state<TransportState>(whole);
  state.status = kStatusAcknowledge | kStatusDriverOk;
  state.driver_features = ~uint64_t{0};
  vmstate::Writer altered;
  vmstate::write_state(altered, state);
  vmstate::Reader unagreed(altered.bytes(), {});
  EXPECT_FALSE(other.transport->load(unagreed));
}

}  // namespace
}  // namespace pagurus::virtio
