#include "wire/messages.h"

namespace pagurus::wire {
namespace {

using vmstate::field;

// Limits for what a peer may announce; far above what a machine has.
constexpr uint64_t kMaxName = 255;
constexpr uint64_t kMaxText = 64 * 1024;
constexpr uint64_t kMaxEntries = 4096;
constexpr uint64_t kMaxSectionBytes = 16 * 1024 * 1024;
constexpr uint64_t kMaxSectionFds = 64;

}  // namespace

std::string name_of(MessageType type) {
  switch (type) {
    case MessageType::kHello: return "HELLO";
    case MessageType::kWelcome: return "WELCOME";
    case MessageType::kPrepare: return "PREPARE";
    case MessageType::kReady: return "READY";
    case MessageType::kState: return "STATE";
    case MessageType::kRunning: return "RUNNING";
    case MessageType::kRefused: return "REFUSED";
    case MessageType::kPrepareCopy: return "PREPARE-COPY";
    case MessageType::kRam: return "RAM";
    case MessageType::kLoaded: return "LOADED";
    case MessageType::kGo: return "GO";
  }
  return fmt::format("message {}", static_cast<unsigned>(type));
}

const vmstate::Description& FactEntry::description() {
  static constexpr auto kFields = std::array{
      field<&FactEntry::name>("name", {.max = kMaxName}),
      field<&FactEntry::value>("value", {.max = kMaxText}),
  };
  static constexpr vmstate::Description kDescription{"fact", 1, kFields};
  return kDescription;
}

const vmstate::Description& SectionEntry::description() {
  static constexpr auto kFields = std::array{
      field<&SectionEntry::name>("name", {.max = kMaxName}),
      field<&SectionEntry::signature>("signature", {.max = kMaxText}),
      field<&SectionEntry::version>("version"),
      field<&SectionEntry::required>("required"),
  };
  static constexpr vmstate::Description kDescription{"section-entry", 1, kFields};
  return kDescription;
}

const vmstate::Description& BackendEntry::description() {
  static constexpr auto kFields = std::array{
      field<&BackendEntry::name>("name", {.max = kMaxName}),
      field<&BackendEntry::target>("target", {.max = kMaxName}),
      field<&BackendEntry::kind>("kind", {.max = kMaxName}),
      field<&BackendEntry::signature>("signature", {.max = kMaxText}),
      field<&BackendEntry::takes_part>("takes-part"),
  };
  static constexpr vmstate::Description kDescription{"backend-entry", 1, kFields};
  return kDescription;
}

const vmstate::Description& Hello::description() {
  static constexpr auto kFields = std::array{
      field<&Hello::vmm_version>("vmm-version", {.max = kMaxName}),
      field<&Hello::mode>("mode", {.max = static_cast<uint64_t>(Mode::kCopy)}),
      field<&Hello::waits_before_state>("waits-before-state"),
      field<&Hello::backend_transfer>("backend-transfer"),
      field<&Hello::targets>("targets", {.max = kMaxEntries, .element_max = kMaxName}),
      field<&Hello::facts>("facts", {.max = kMaxEntries}),
      field<&Hello::sections>("sections", {.max = kMaxEntries}),
      field<&Hello::backends>("backends", {.max = kMaxEntries}),
      field<&Hello::extras>("extras", {.max = kMaxEntries, .element_max = kMaxName}),
  };
  static constexpr vmstate::Description kDescription{"hello", 1, kFields};
  return kDescription;
}

const vmstate::Description& Welcome::description() {
  static constexpr auto kFields = std::array{
      field<&Welcome::vmm_version>("vmm-version", {.max = kMaxName}),
      field<&Welcome::wanted>("wanted", {.max = kMaxEntries, .element_max = kMaxName}),
      field<&Welcome::unknown>("unknown", {.max = kMaxEntries, .element_max = kMaxName}),
  };
  static constexpr vmstate::Description kDescription{"welcome", 1, kFields};
  return kDescription;
}

const vmstate::Description& SectionData::description() {
  static constexpr auto kFields = std::array{
      field<&SectionData::name>("name", {.max = kMaxName}),
      field<&SectionData::version>("version"),
      field<&SectionData::required>("required"),
      field<&SectionData::bytes>("bytes", {.max = kMaxSectionBytes}),
      field<&SectionData::fds>("fds", {.max = kMaxSectionFds}),
  };
  static constexpr vmstate::Description kDescription{"section", 1, kFields};
  return kDescription;
}

const vmstate::Description& Prepare::description() {
  static constexpr auto kFields = std::array{
      field<&Prepare::ram>("ram"),
      field<&Prepare::ownership>("ownership"),
      field<&Prepare::rehearsal>("rehearsal", {.max = kMaxEntries}),
  };
  static constexpr vmstate::Description kDescription{"prepare", 1, kFields};
  return kDescription;
}

const vmstate::Description& PrepareCopy::description() {
  static constexpr auto kFields = std::array{
      field<&PrepareCopy::ownership>("ownership", {.max = 1}),
      field<&PrepareCopy::rehearsal>("rehearsal", {.max = kMaxEntries}),
  };
  static constexpr vmstate::Description kDescription{"prepare-copy", 1, kFields};
  return kDescription;
}

const vmstate::Description& RamRun::description() {
  static constexpr auto kFields = std::array{
      field<&RamRun::offset>("offset"),
      field<&RamRun::pages>("pages"),
      field<&RamRun::zero>("zero"),
  };
  static constexpr vmstate::Description kDescription{"ram-run", 1, kFields};
  return kDescription;
}

const vmstate::Description& Ram::description() {
  static constexpr auto kFields = std::array{
      field<&Ram::runs>("runs", {.max = kMaxRuns}),
      field<&Ram::data>("data", {.max = kMaxRamBytes}),
  };
  static constexpr vmstate::Description kDescription{"ram", 1, kFields};
  return kDescription;
}

const vmstate::Description& Loaded::description() {
  static constexpr auto kFields = std::array{field<&Loaded::loaded_ns>("loaded-ns")};
  static constexpr vmstate::Description kDescription{"loaded", 1, kFields};
  return kDescription;
}

const vmstate::Description& Go::description() {
  static constexpr auto kFields = std::array{field<&Go::owner>("owner")};
  static constexpr vmstate::Description kDescription{"go", 1, kFields};
  return kDescription;
}

const vmstate::Description& Ready::description() {
  static constexpr auto kFields = std::array{field<&Ready::prepared_ns>("prepared-ns")};
  static constexpr vmstate::Description kDescription{"ready", 1, kFields};
  return kDescription;
}

const vmstate::Description& State::description() {
  static constexpr auto kFields = std::array{
      field<&State::run>("run"),
      field<&State::stop_asked_ns>("stop-asked-ns"),
      field<&State::sections>("sections", {.max = kMaxEntries}),
  };
  static constexpr vmstate::Description kDescription{"state", 1, kFields};
  return kDescription;
}

const vmstate::Description& Running::description() {
  static constexpr auto kFields = std::array{
      field<&Running::received_ns>("received-ns"),
      field<&Running::loaded_ns>("loaded-ns"),
      field<&Running::owned_ns>("owned-ns"),
      field<&Running::running_ns>("running-ns"),
  };
  static constexpr vmstate::Description kDescription{"running", 1, kFields};
  return kDescription;
}

Refused Refused::because(const std::string& reason) { return {.reason = reason.substr(0, kMaxText)}; }

const vmstate::Description& Refused::description() {
  static constexpr auto kFields = std::array{field<&Refused::reason>("reason", {.max = kMaxText})};
  static constexpr vmstate::Description kDescription{"refused", 1, kFields};
  return kDescription;
}

}  // namespace pagurus::wire
