// Every declared state, as it arrives from a peer: the first byte chooses the declaration, the rest
// is its section.  (devices.cc and back_ends.cc load those that need no KVM into what they are of.)
#include "chardev/socket_backend.h"
#include "chardev/stream_backend.h"
#include "device/power/power_control.h"
#include "device/serial/uart_state.h"
#include "device/virtio_net/state.h"
#include "fuzz/target.h"
#include "kvm/vcpu_state.h"
#include "kvm/vm_state.h"
#include "pci/bus.h"
#include "pci/function.h"
#include "virtio/transport_state.h"

namespace pagurus::fuzz {
namespace {

template <class State>
bool decode(std::span<const uint8_t> bytes) {
  vmstate::Reader reader(bytes, {});
  auto state = vmstate::read_state<State>(reader);
  if (!state) return false;
  if (!reader.passed_over().empty()) return true;
  // What was accepted can be written again, byte for byte.
  vmstate::Writer writer;
  vmstate::write_state(writer, *state);
  CHECK(std::ranges::equal(writer.bytes(), bytes), "a state is what its bytes say");
  return true;
}

// What no default is: accepted by validate(), with an element in every list.
kvm::VcpuState vcpu() {
  kvm::VcpuState state;
  state.cpuid.emplace_back();
  state.xcrs.emplace_back();
  state.xsave.resize(4096);
  state.msrs.emplace_back();
  return state;
}

template <class State>
State example() {
  return {};
}
template <>
kvm::VcpuState example() {
  return vcpu();
}
template <>
kvm::VcpuStates example() {
  return {.vcpus = {vcpu(), vcpu()}};
}
template <>
virtio::TransportState example() {
  virtio::TransportState state;
  state.queues.resize(3);
  return state;
}

template <class State>
Bytes encode() {
  vmstate::Writer writer;
  vmstate::write_state(writer, example<State>());
  return writer.bytes();
}

struct Kind {
  bool (*decode)(std::span<const uint8_t>);
  Bytes (*encode)();
};

template <class... States>
constexpr std::array<Kind, sizeof...(States)> kinds_of() {
  return {Kind{&decode<States>, &encode<States>}...};
}

constexpr auto kKinds = kinds_of<kvm::VcpuStates, kvm::VcpuState, kvm::VmState, pci::PciBusState, pci::PciFunctionState,
                                 device::UartState, device::PowerState, virtio::TransportState, device::VirtioNetState,
                                 chardev::StreamState, chardev::SocketState>();

}  // namespace

std::vector<Bytes> seeds() {
  std::vector<Bytes> result;
  for (size_t i = 0; i < kKinds.size(); ++i) {
    Bytes bytes = kKinds[i].encode();
    CHECK(kKinds[i].decode(bytes), "an example is accepted");
    bytes.insert(bytes.begin(), static_cast<uint8_t>(i));
    result.push_back(std::move(bytes));
  }
  return result;
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus::fuzz;
  if (size == 0) return 0;
  kKinds[data[0] % kKinds.size()].decode({data + 1, size - 1});
  return 0;
}
