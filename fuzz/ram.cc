// RAM messages as a hostile source makes them: the body's bytes, and runs put together from numbers that
// are nearly right.  What is refused must change nothing, what is taken must be there.
#include <cstring>

#include "base/result.h"
#include "fuzz/input.h"
#include "fuzz/target.h"
#include "migration/ram_sink.h"
#include "wire/messages.h"

namespace pagurus::fuzz {
namespace {

using memory::kPageSize;
using wire::Ram;
using wire::RamRun;

constexpr uint64_t kSize = memory::kMinRam;
constexpr uint64_t kPages = kSize / kPageSize;

memory::GuestMemory& guest_memory() {
  static memory::GuestMemory memory = [] {
    auto fresh = *memory::GuestMemory::create(kSize, memory::Pages::kSmall);
    CHECK(fresh.allocate().has_value(), "RAM for the fuzzer");
    return fresh;
  }();
  return memory;
}

bool good(const Ram& ram) {
  uint64_t data = 0;
  for (const RamRun& run : ram.runs) {
    if (run.pages == 0 || run.offset % kPageSize != 0 || run.offset / kPageSize + run.pages > kPages) return false;
    if (!run.zero) data += run.pages * kPageSize;
  }
  return data == ram.data.size();
}

// The last run that covers a page decides.
void check_last_run(const Ram& ram, const memory::GuestMemory& memory) {
  if (ram.runs.empty()) return;
  const RamRun& last = ram.runs.back();
  const uint8_t* there = memory.host_base() + last.offset;
  uint64_t size = last.pages * kPageSize;
  if (!last.zero)
    CHECK(std::memcmp(there, &ram.data[ram.data.size() - size], size) == 0, "data that was taken is there");
  for (uint64_t i = 0; last.zero && i < size; i += kPageSize)
    CHECK(there[i] == 0, "a zero page that was taken is zero");
}

void apply(const Ram& ram) {
  memory::GuestMemory& memory = guest_memory();
  migration::RamSink sink(memory);
  memory.write_value<uint64_t>({0}, 0x5a5a'5a5a'5a5a'5a5a);
  auto applied = sink.apply(ram);
  CHECK(applied.has_value() == good(ram), "exactly the good messages are taken");
  if (applied) return check_last_run(ram, memory);
  CHECK(memory.read_value<uint64_t>({0}) == 0x5a5a'5a5a'5a5a'5a5a, "a refused message changes nothing");
}

Ram made_from(Input input) {
  Ram ram;
  uint64_t data = 0;
  for (unsigned count = input.number<uint8_t>() % 8; count > 0; --count) {
    uint8_t how = input.number<uint8_t>();
    RamRun run{.offset = input.number<uint16_t>() % (kPages + 2) * kPageSize,
               .pages = input.number<uint8_t>(),
               .zero = (how & 1) != 0};
    if ((how & 0x0e) == 0x0e) run.offset = input.number<uint64_t>();
    if ((how & 0x30) == 0x30) run.pages = input.number<uint32_t>();
    if ((how & 0xc0) == 0xc0) run.pages *= 64;
    if (!run.zero) data += run.pages * kPageSize;
    ram.runs.push_back(run);
  }
  // As much as is needed, nearly always.
  if (input.number<uint8_t>() == 0) data += input.number<uint16_t>();
  ram.data.assign(std::min<uint64_t>(data, memory::kMiB), input.number<uint8_t>());
  return ram;
}

}  // namespace

std::vector<Bytes> seeds() {
  auto body = [](const Ram& ram) {
    vmstate::Writer writer;
    vmstate::write_state(writer, ram);
    return writer.bytes();
  };
  Ram data{.runs = {{.offset = 0, .pages = 1}, {.offset = kSize - kPageSize, .pages = 1}}, .data = {}};
  data.data.assign(2 * kPageSize, 1);
  return {body({.runs = {{.offset = kPageSize, .pages = 600, .zero = true}}, .data = {}}), body(data),
          Bytes{2, 0, 1, 0, 3, 1, 2, 0, 200, 1}, Bytes{1, 0xc1, 5, 0, 40}};
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus;
  using namespace pagurus::fuzz;
  vmstate::Reader reader({data, size}, {});
  if (auto ram = vmstate::read_state<Ram>(reader)) apply(*ram);
  apply(made_from(Input(data, size)));
  return 0;
}
