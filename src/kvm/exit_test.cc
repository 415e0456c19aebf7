#include "kvm/exit.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "kvm/kvm_api.h"

namespace pagurus::kvm {
namespace {

struct Access {
  char kind;
  uint64_t address;
  unsigned size;
  uint64_t value;
  bool operator==(const Access&) const = default;
};

class Recorder final : public ExitHandler {
 public:
  uint64_t pio_read(uint16_t port, unsigned size) override { return read('i', port, size); }
  void pio_write(uint16_t port, unsigned size, uint64_t value) override { log.push_back({'o', port, size, value}); }
  uint64_t mmio_read(uint64_t address, unsigned size) override { return read('r', address, size); }
  void mmio_write(uint64_t address, unsigned size, uint64_t value) override {
    log.push_back({'w', address, size, value});
  }
  void shutdown(uint32_t) override {}
  void system_event(uint32_t, uint32_t) override {}
  void internal_error(uint32_t, const std::string&) override {}

  std::vector<Access> log;

 private:
  uint64_t read(char kind, uint64_t address, unsigned size) {
    log.push_back({kind, address, size, 0});
    return 0x1111'1111'1111'1111 * log.size();
  }
};

class DecodeExit : public ::testing::Test {
 protected:
  kvm_run& run() { return *reinterpret_cast<kvm_run*>(area_.data()); }
  Exit decode() { return decode_exit(run(), area_); }
  uint8_t* data() { return area_.data() + 4096; }

  alignas(8) std::array<uint8_t, 8192> area_{};
  Recorder recorder_;
};

TEST_F(DecodeExit, a_string_read_fills_every_element) {
  run().exit_reason = KVM_EXIT_IO;
  run().io = {.direction = KVM_EXIT_IO_IN, .size = 2, .port = 0x60, .count = 3, .data_offset = 4096};
  handle(std::get<PioExit>(decode()), recorder_);
  EXPECT_EQ(recorder_.log, (std::vector<Access>{{'i', 0x60, 2, 0}, {'i', 0x60, 2, 0}, {'i', 0x60, 2, 0}}));
  const uint8_t expected[] = {0x11, 0x11, 0x22, 0x22, 0x33, 0x33, 0};
  EXPECT_EQ(std::memcmp(data(), expected, sizeof expected), 0);
}

TEST_F(DecodeExit, a_port_write_delivers_its_bytes_only) {
  run().exit_reason = KVM_EXIT_IO;
  run().io = {.direction = KVM_EXIT_IO_OUT, .size = 1, .port = 0x3f8, .count = 2, .data_offset = 4096};
  std::memcpy(data(), "abX", 3);
  handle(std::get<PioExit>(decode()), recorder_);
  EXPECT_EQ(recorder_.log, (std::vector<Access>{{'o', 0x3f8, 1, 'a'}, {'o', 0x3f8, 1, 'b'}}));
}

TEST_F(DecodeExit, an_mmio_access_of_odd_length_is_split) {
  run().exit_reason = KVM_EXIT_MMIO;
  run().mmio.phys_addr = 0x1000;
  run().mmio.len = 7;
  run().mmio.is_write = 1;
  for (uint8_t i = 0; i < 8; ++i) run().mmio.data[i] = i;
  handle(std::get<MmioExit>(decode()), recorder_);
  EXPECT_EQ(recorder_.log,
            (std::vector<Access>{{'w', 0x1000, 4, 0x03020100}, {'w', 0x1004, 2, 0x0504}, {'w', 0x1006, 1, 6}}));
}

TEST_F(DecodeExit, an_emulation_failure_carries_the_instruction) {
  run().exit_reason = KVM_EXIT_INTERNAL_ERROR;
  run().emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
  run().emulation_failure.ndata = 3;
  run().emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
  run().emulation_failure.insn_size = 200;
  run().emulation_failure.insn_bytes[0] = 0x0f;
  auto exit = std::get<InternalErrorExit>(decode());
  EXPECT_EQ(exit.instruction.size(), 15u);
  EXPECT_EQ(exit.instruction[0], 0x0f);
}

TEST_F(DecodeExit, a_reason_that_cannot_be_is_an_internal_error) {
  run().exit_reason = KVM_EXIT_HLT;
  EXPECT_TRUE(std::holds_alternative<InternalErrorExit>(decode()));
  run().exit_reason = KVM_EXIT_SHUTDOWN;
  EXPECT_TRUE(std::holds_alternative<ShutdownExit>(decode()));
  run().exit_reason = KVM_EXIT_INTR;
  EXPECT_TRUE(std::holds_alternative<InterruptedExit>(decode()));
}

}  // namespace
}  // namespace pagurus::kvm
