#include "ctl/analyze/message_json.h"

#include <unistd.h>

#include <array>

#include "ctl/analyze/message_types.h"

namespace pagurus::ctl {

using qapi::Json;

namespace {

// What an open descriptor is: "/dev/net/tun", "socket:[1234]", "/memfd:ram (deleted)".
std::string file_of(const UniqueFd& fd) {
  std::array<char, 4096> target;
  ssize_t size = readlink(fmt::format("/proc/self/fd/{}", fd.get()).c_str(), target.data(), target.size());
  return size < 0 ? "?" : std::string(target.data(), static_cast<size_t>(size));
}

std::string type_text(const wire::Header& header) {
  // Another version may mean something else by the same number.
  if (header.version == wire::kProtocolVersion) return wire::name_of(header.type);
  return fmt::format("message {}", static_cast<unsigned>(header.type));
}

// The declarations of our own messages are readable.
StateType type_of(const vmstate::Description& description) {
  auto type = parse_signature(vmstate::signature(description));
  CHECK(type.has_value(), "a signature can be parsed");
  return std::move(*type);
}

bool is_list_of(const StateType& type, const vmstate::Description& description) {
  return type.kind == vmstate::Kind::kList && type.element->name == description.name;
}

// A list's members of these names, of which `value` may be a stranger's.
const std::string* string_of(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value != nullptr && value->is_string() ? &value->as_string() : nullptr;
}

uint64_t number_of(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value != nullptr && value->fits_uint64() ? value->as_uint64() : 0;
}

Json ram_summary(const Json& runs, uint64_t bytes, MessageAnalyzer::RamRuns how) {
  uint64_t pages = 0;
  uint64_t zero_pages = 0;
  for (const Json& run : runs.as_array()) {
    pages += number_of(run, "pages");
    const Json* zero = run.find("zero");
    if (zero != nullptr && *zero == Json(true)) zero_pages += number_of(run, "pages");
  }
  Json summary =
      Json::object({{"runs", runs.as_array().size()}, {"pages", pages}, {"zero-pages", zero_pages}, {"bytes", bytes}});
  if (how == MessageAnalyzer::RamRuns::kList) summary.set("run-list", runs);
  return summary;
}

Json ram_body(StateDecoder& decoder, const StateType& type, MessageAnalyzer::RamRuns how) {
  // Its fields are runs and data.
  Json runs = decoder.decode(type.fields[0].type);
  uint64_t bytes = decoder.decode_bytes(type.fields[1].type).size();
  if (!runs.is_array()) return Json::object();
  return ram_summary(runs, bytes, how);
}

void add_problem(Json& object, const StateDecoder& decoder) {
  if (decoder.failed()) {
    object.set("problem", decoder.problem());
  } else if (!decoder.rest().empty()) {
    object.set("problem", fmt::format("{} bytes are left over", decoder.rest().size()));
  }
  if (!decoder.rest().empty()) object.set("rest", bytes_json(decoder.rest()));
}

}  // namespace

Json MessageAnalyzer::analyze(const Frame& frame) {
  const wire::Header& header = frame.header;
  Json message = Json::object({{"offset", frame.offset},
                               {"type", type_text(header)},
                               {"version", header.version},
                               {"length", header.length},
                               {"fds", header.fds},
                               {"crc", frame.checksum_right ? "ok" : "wrong"}});
  std::vector<std::string> files;
  for (const UniqueFd& fd : frame.fds) files.push_back(file_of(fd));
  if (!files.empty()) message.set("files", Json::strings(files));
  if (frame.known) message.set("body", body(frame, files));
  return message;
}

Json MessageAnalyzer::body(const Frame& frame, const std::vector<std::string>& files) {
  StateType type = type_of(*declared(frame.header.type));
  uint64_t values_left = StateDecoder::kMaxValues;
  StateDecoder decoder(frame.body, files, values_left);
  Json result = Json::object();
  if (frame.header.type == wire::MessageType::kRam) {
    result = ram_body(decoder, type, ram_runs_);
  } else {
    for (const StateField& field : type.fields) {
      Json value = is_list_of(field.type, wire::SectionData::description())
                       ? sections(decoder, field.type, files, values_left)
                       : decoder.decode(field.type);
      if (!decoder.failed() || !value.is_null()) result.set(field.name, std::move(value));
      if (decoder.failed()) break;
    }
  }
  add_problem(result, decoder);
  if (frame.header.type == wire::MessageType::kHello) remember_signatures(result);
  return result;
}

Json MessageAnalyzer::sections(StateDecoder& decoder, const StateType& list, const std::vector<std::string>& files,
                               uint64_t& values_left) {
  Json::Array array;
  uint32_t count = decoder.decode_count(list);
  for (uint32_t i = 0; i < count && !decoder.failed(); ++i) {
    Json section = Json::object();
    std::span<const uint8_t> bytes;
    for (const StateField& field : list.element->fields) {
      if (field.name == "bytes") {
        bytes = decoder.decode_bytes(field.type);
      } else {
        section.set(field.name, decoder.decode(field.type));
      }
    }
    if (!decoder.failed()) add_state(section, bytes, files, values_left);
    array.push_back(std::move(section));
  }
  return array;
}

void MessageAnalyzer::add_state(Json& section, std::span<const uint8_t> bytes, const std::vector<std::string>& files,
                                uint64_t& values_left) const {
  auto signature = signatures_.find(*string_of(section, "name"));
  if (signature == signatures_.end()) {
    section.set("bytes", bytes_json(bytes));
    return;
  }
  auto type = parse_signature(signature->second);
  if (!type || type->kind != vmstate::Kind::kStruct) {
    section.set("problem", type ? "its signature is of no section" : type.error().message());
    section.set("bytes", bytes_json(bytes));
    return;
  }
  // A section's descriptors are some of its message's.
  std::vector<std::string> own_files;
  for (const Json& fd : section.find("fds")->as_array()) {
    uint64_t index = number_of(fd, "fd");
    own_files.push_back(index < files.size() ? files[index] : "?");
  }
  if (files.empty()) own_files.clear();
  StateDecoder decoder(bytes, own_files, values_left);
  section.set("declared", fmt::format("{}/{}", type->name, type->version));
  section.set("state", decoder.decode(*type, static_cast<uint16_t>(number_of(section, "version"))));
  if (!decoder.failed() && !decoder.rest().empty()) {
    Json optional = decoder.decode_named_fields();
    if (!optional.is_null()) section.set("optional", std::move(optional));
  }
  add_problem(section, decoder);
}

void MessageAnalyzer::remember_signatures(const Json& hello) {
  signatures_.clear();
  for (const char* list : {"sections", "backends"}) {
    const Json* entries = hello.find(list);
    if (entries == nullptr) continue;
    for (const Json& entry : entries->as_array()) {
      const std::string* name = string_of(entry, "name");
      const std::string* signature = string_of(entry, "signature");
      if (name != nullptr && signature != nullptr) signatures_[*name] = *signature;
    }
  }
}

}  // namespace pagurus::ctl
