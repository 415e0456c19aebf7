// The declarations as tests walk through them: each with its C++ type, and a sample of it.
#pragma once

#include <fcntl.h>

#include "app/declarations.h"
#include "vmstate/testing/sample.h"

namespace pagurus::app::testing {

using Bytes = std::vector<uint8_t>;

struct DeclaredState {
  const vmstate::Description* description;
  // Reads a state and writes what was read.
  Result<Bytes> (*rewrite)(vmstate::Reader& reader);
};

template <class... States>
std::vector<DeclaredState> states_of(Declared<States...>) {
  return {{&States::description(), [](vmstate::Reader& reader) -> Result<Bytes> {
             auto state = TRY(vmstate::read_state<States>(reader));
             vmstate::Writer writer(reader.version());
             vmstate::write_state(writer, state);
             return writer.bytes();
           }}...};
}

inline vmstate::testing::Sample sample_of(const vmstate::Description& description, uint16_t version,
                                          vmstate::testing::Optional optional) {
  // What the states' validate() asks for.
  static constexpr std::array kChoices = {
      vmstate::testing::Choice{.field = "vcpu.xsave", .count = 600, .value = {}},
      vmstate::testing::Choice{.field = "uart-16550.fifo-control", .count = {}, .value = 0xc1},
      vmstate::testing::Choice{.field = "uart-16550.line-errors", .count = {}, .value = 2},
      vmstate::testing::Choice{.field = "msix.pending", .count = 1, .value = 3},
      vmstate::testing::Choice{.field = "virtio-net.held-frame", .count = 20, .value = {}},
      vmstate::testing::Choice{.field = "virtio-net.further-held-frames", .count = 14, .value = {}},
      vmstate::testing::Choice{.field = "virtio-net.mac", .count = 6, .value = {}},
      vmstate::testing::Choice{.field = "vhost-user.rings", .count = 1, .value = {}},
      vmstate::testing::Choice{.field = "virtio-net.vlans", .count = 64, .value = {}},
  };
  return vmstate::testing::SampleMaker(kChoices, version).make(description, optional);
}

inline std::vector<UniqueFd> some_descriptors(uint32_t count) {
  std::vector<UniqueFd> fds;
  for (uint32_t i = 0; i < count; ++i) fds.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
  return fds;
}

}  // namespace pagurus::app::testing
