#include "kvm/vcpu_state.h"

#include <gtest/gtest.h>

#include "kvm/vm_state.h"

namespace pagurus::kvm {
namespace {

VcpuState sample() {
  VcpuState state{.id = 3, .mp_state = MpState::kHalted};
  state.cpuid = {{.function = 1, .ecx = 7}, {.function = 4, .index = 1, .flags = 1}};
  state.registers.rip = 0xffffffff81000000;
  state.system_registers.cs = {.base = 1, .limit = 2, .selector = 0x10, .type = 11, .present = 1};
  state.system_registers.pdptrs = {1, 2, 3, 4};
  state.debug_registers.db = {5, 6, 7, 8};
  state.xcrs = {{0, 7}};
  state.xsave.assign(4096, 0xab);
  state.lapic[1023] = 9;
  state.msrs = {{0x10, 1}, {0x6e0, 2}};
  state.tsc_khz = 2'500'000;
  state.has_tsc_offset = true;
  state.tsc_offset = ~0ull - 5;
  state.events = {.nmi_pending = 1, .sipi_vector = 255, .flags = 1};
  return state;
}

std::vector<uint8_t> encode(const VcpuState& state) {
  vmstate::Writer writer;
  vmstate::write_state(writer, state);
  return writer.bytes();
}

Result<VcpuState> decode(std::span<const uint8_t> bytes) {
  vmstate::Reader reader(bytes, {});
  return vmstate::read_state<VcpuState>(reader);
}

// Encodes a changed state and returns why it is refused.
template <class Change>
std::string refusal(Change change) {
  VcpuState state = sample();
  change(state);
  auto decoded = decode(encode(state));
  return decoded ? "accepted" : decoded.error().message();
}

TEST(VcpuState, survives_the_way_through_bytes) {
  VcpuState state = sample();
  auto decoded = decode(encode(state));
  ASSERT_TRUE(decoded) << decoded.error().message();
  EXPECT_EQ(decoded->id, state.id);
  EXPECT_EQ(decoded->cpuid, state.cpuid);
  EXPECT_EQ(decoded->mp_state, state.mp_state);
  EXPECT_EQ(decoded->registers, state.registers);
  EXPECT_EQ(decoded->system_registers, state.system_registers);
  EXPECT_EQ(decoded->debug_registers, state.debug_registers);
  EXPECT_EQ(decoded->xcrs, state.xcrs);
  EXPECT_EQ(decoded->xsave, state.xsave);
  EXPECT_EQ(decoded->lapic, state.lapic);
  EXPECT_EQ(decoded->msrs, state.msrs);
  EXPECT_EQ(decoded->tsc_khz, state.tsc_khz);
  EXPECT_EQ(decoded->tsc_offset, state.tsc_offset);
  EXPECT_EQ(decoded->events, state.events);
}

TEST(VcpuState, every_truncation_is_refused) {
  auto bytes = encode(sample());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode(std::span(bytes).first(size))) << size;
  }
}

TEST(VcpuState, values_outside_their_limits_are_refused_by_name) {
  auto names = [](const std::string& text, const char* field) { return text.find(field) != std::string::npos; };
  EXPECT_TRUE(names(refusal([](auto& s) { s.id = 255; }), "id"));
  EXPECT_TRUE(names(refusal([](auto& s) { s.mp_state = MpState{5}; }), "mp-state"));
  EXPECT_TRUE(names(refusal([](auto& s) { s.system_registers.cs.type = 16; }), "type"));
  EXPECT_TRUE(names(refusal([](auto& s) { s.system_registers.cr8 = 16; }), "cr8"));
  EXPECT_TRUE(names(refusal([](auto& s) { s.events.exception_nr = 32; }), "exception-nr"));
  EXPECT_TRUE(names(refusal([](auto& s) { s.xcrs.resize(17); }), "xcrs"));
  EXPECT_TRUE(names(refusal([](auto& s) { s.msrs.resize(kMaxMsrs + 1); }), "msrs"));
  EXPECT_TRUE(names(refusal([](auto& s) { s.cpuid.resize(kMaxCpuidEntries + 1); }), "cpuid"));
  EXPECT_TRUE(names(refusal([](auto& s) { s.xsave.resize(kMaxXsaveBytes + 1); }), "xsave"));
}

TEST(VcpuState, what_no_vcpu_can_be_in_is_refused) {
  EXPECT_EQ(refusal([](auto& s) { s.msrs.push_back({0x6e0, 3}); }), "the state of vCPU 3 has MSR 0x6e0 twice");
  EXPECT_EQ(refusal([](auto& s) { s.cpuid.push_back(s.cpuid[1]); }),
            "the state of vCPU 3 has CPUID leaf 0x4.0x1 twice");
  EXPECT_EQ(refusal([](auto& s) { s.cpuid.clear(); }), "the state of vCPU 3 has no CPUID");
  EXPECT_EQ(refusal([](auto& s) { s.xsave.resize(575); }),
            "the xsave area of vCPU 3 has 575 bytes where at least 576 are needed");
}

TEST(VmState, survives_the_way_through_bytes_and_no_shorter) {
  VmState state;
  state.ioapic[215] = 1;
  state.pit[111] = 2;
  state.clock = {.guest_ns = 3, .host_raw_ns = 4, .has_host_tsc = true, .host_tsc = 5};
  vmstate::Writer writer;
  vmstate::write_state(writer, state);
  vmstate::Reader reader(writer.bytes(), {});
  auto decoded = vmstate::read_state<VmState>(reader);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->ioapic, state.ioapic);
  EXPECT_EQ(decoded->pit, state.pit);
  EXPECT_EQ(decoded->clock.host_tsc, 5u);
  vmstate::Reader cut(std::span(writer.bytes()).first(writer.bytes().size() - 1), {});
  EXPECT_FALSE(vmstate::read_state<VmState>(cut));
}

}  // namespace
}  // namespace pagurus::kvm
