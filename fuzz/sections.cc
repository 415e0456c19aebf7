// Every declared state, as it arrives from a peer: the first byte chooses the declaration, the rest
// is its section.  What decodes is loaded into a real device where that needs no KVM.
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
void decode(std::span<const uint8_t> bytes) {
  vmstate::Reader reader(bytes, {});
  auto state = vmstate::read_state<State>(reader);
  if (!state) return;
  // What was accepted can be written again, byte for byte.
  vmstate::Writer writer;
  vmstate::write_state(writer, *state);
  CHECK(std::ranges::equal(writer.bytes(), bytes), "a state is what its bytes say");
}

template <class State>
Bytes encode() {
  vmstate::Writer writer;
  vmstate::write_state(writer, State{});
  return writer.bytes();
}

struct Kind {
  void (*decode)(std::span<const uint8_t>);
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
