// pagurusctl analyze: a signature and bytes that may be of it, and whole streams with sections that are
// decoded by what their HELLO has said.
#include <sys/mman.h>
#include <unistd.h>

#include "base/result.h"
#include "ctl/analyze/message_json.h"
#include "fuzz/input.h"
#include "fuzz/target.h"
#include "wire/frame.h"

namespace pagurus::fuzz {
namespace {

constexpr std::string_view kSignature =
    "s/2{a:u64,b:i16,c:bool,d:str<=9,e:[u8;4],f:[[u16;2];<=3],g:[i/1{x:u8};<=4]@2,h:fd}";

enum class What : uint8_t { kState, kStream };

Bytes input_of(What what, const Bytes& rest) {
  Bytes bytes{static_cast<uint8_t>(what)};
  bytes.insert(bytes.end(), rest.begin(), rest.end());
  return bytes;
}

// The signature says its length first.
Bytes state_input(std::string_view signature, const Bytes& state) {
  vmstate::Writer writer;
  writer.put(static_cast<uint16_t>(signature.size()));
  writer.put_bytes(bytes_of(signature));
  writer.put_bytes(state);
  return input_of(What::kState, writer.bytes());
}

template <class T>
void add_frame(Bytes& stream, wire::MessageType type, const T& body) {
  vmstate::Writer writer;
  vmstate::write_state(writer, body);
  auto header = wire::encode_header(type, writer);
  stream.insert(stream.end(), header.begin(), header.end());
  stream.insert(stream.end(), writer.bytes().begin(), writer.bytes().end());
}

Bytes state_bytes() {
  return {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 0, 0, 0, 'h', 'i', 1,   2,   3, 4, 1, 0, 0,
          0, 1, 0, 2, 0, 1, 0, 0, 0, 7,  0, 0, 0, 0, 4, 'n', 'o', 't', 'e', 1, 0, 0, 0, 5};
}

void decode_state(Input& input) {
  auto text = input.piece();
  auto type = ctl::parse_signature({reinterpret_cast<const char*>(text.data()), text.size()});
  if (!type) return;
  // Few, so that each input is quick; the bound itself has a unit test.
  uint64_t values_left = 10'000;
  const std::vector<std::string> fds{"/dev/null"};
  ctl::StateDecoder decoder(input.rest(), fds, values_left);
  (void)decoder.decode(*type, 1).pretty_text();
  if (!decoder.failed()) (void)decoder.decode_named_fields().text();
}

void analyze_stream(std::span<const uint8_t> bytes) {
  static const UniqueFd file(::memfd_create("stream", MFD_CLOEXEC));
  CHECK(::ftruncate(file.get(), 0) == 0, "a memfd can be emptied");
  CHECK(::pwrite(file.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()), "it takes all");
  ::lseek(file.get(), 0, SEEK_SET);
  auto reader = ctl::FrameReader::create(*duplicate(file.get()), ctl::Patience::endless(-1));
  ctl::MessageAnalyzer analyzer(ctl::MessageAnalyzer::RamRuns::kList);
  while (true) {
    auto frame = reader->next();
    if (!frame || !*frame) return;
    (void)analyzer.analyze(**frame).pretty_text();
  }
}

}  // namespace

std::vector<Bytes> seeds() {
  Bytes stream;
  wire::Hello hello;
  hello.sections = {{"s", std::string(kSignature), 2, true}};
  hello.backends = {{"netdev n0", "virtio-net-tap", "tap", "tap/1{fd:fd}", true}};
  add_frame(stream, wire::MessageType::kHello, hello);
  add_frame(stream, wire::MessageType::kRam, wire::Ram{{{.offset = 4096, .pages = 1, .zero = true}}, {}});
  wire::State state{.run = true, .stop_asked_ns = 1, .sections = {}};
  state.sections.push_back({.name = "s", .version = 2, .bytes = state_bytes(), .fds = {}});
  state.sections.push_back({.name = "netdev n0", .version = 1, .bytes = {0, 0, 0, 0}, .fds = {}});
  add_frame(stream, wire::MessageType::kState, state);
  return {state_input(kSignature, state_bytes()), state_input("a/1{x:[[e/1{};9];9]}", {}),
          input_of(What::kStream, stream)};
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus::fuzz;
  Input input(data, size);
  if (input.number<uint8_t>() % 2 == 0) {
    decode_state(input);
  } else {
    analyze_stream(input.rest());
  }
  return 0;
}
