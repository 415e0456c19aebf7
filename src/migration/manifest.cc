#include "migration/manifest.h"

#include <algorithm>
#include <map>
#include <string_view>

namespace pagurus::migration {
namespace {

template <class Entry, class Value>
Result<void> compare_lists(const char* what, const std::vector<Entry>& source, const std::vector<Entry>& destination,
                           Value value_of) {
  for (size_t i = 0; i < std::max(source.size(), destination.size()); ++i) {
    if (i >= destination.size())
      return fail("the source has {} '{}', which this destination lacks", what, source[i].name);
    if (i >= source.size())
      return fail("this destination has {} '{}', which the source lacks", what, destination[i].name);
    if (source[i].name != destination[i].name) {
      return fail("the source has {} '{}' where this destination has '{}'", what, source[i].name, destination[i].name);
    }
    if (value_of(source[i]) != value_of(destination[i])) {
      return fail("{} '{}' differs: the source has '{}', this destination '{}'", what, source[i].name,
                  value_of(source[i]), value_of(destination[i]));
    }
  }
  return {};
}

Result<void> compare_section(const wire::SectionEntry& source, const wire::SectionEntry& destination) {
  if (source.version != destination.version) {
    return fail(
        "state section '{}' has version {} in the source, and this destination knows version {} for this machine type",
        source.name, source.version, destination.version);
  }
  if (source.signature == destination.signature) return {};
  return fail("state section '{}' differs: the source has '{}', this destination '{}'", source.name, source.signature,
              destination.signature);
}

// By name: a side may have optional sections that the other lacks.  Returns those that this destination
// will pass over.
Result<std::vector<std::string>> compare_sections(const std::vector<wire::SectionEntry>& source,
                                                  const std::vector<wire::SectionEntry>& destination) {
  std::vector<std::string> unknown;
  std::map<std::string_view, const wire::SectionEntry*> known;
  for (const wire::SectionEntry& section : destination) known[section.name] = &section;
  std::set<std::string_view> announced;
  for (const wire::SectionEntry& section : source) {
    if (!announced.insert(section.name).second) return fail("the source has state section '{}' twice", section.name);
    auto here = known.find(section.name);
    if (here != known.end()) {
      TRY(compare_section(section, *here->second));
    } else if (section.required) {
      return fail("the source has state section '{}', which this destination lacks", section.name);
    } else {
      unknown.push_back(section.name);
    }
  }
  for (const wire::SectionEntry& section : destination) {
    if (!section.required || announced.contains(section.name)) continue;
    return fail("this destination has state section '{}', which the source lacks", section.name);
  }
  return unknown;
}

// Devices that were plugged in came in an order of their own.
std::vector<wire::BackendEntry> by_name(std::vector<wire::BackendEntry> backends) {
  std::ranges::sort(backends, {}, &wire::BackendEntry::name);
  return backends;
}

// What only matters where RAM itself moves.
std::vector<wire::FactEntry> facts_for(wire::Mode mode, std::vector<wire::FactEntry> facts) {
  if (mode == wire::Mode::kCopy) {
    std::erase_if(facts, [](const wire::FactEntry& fact) { return fact.name == machine::kRamPageSizeFact; });
  }
  return facts;
}

Transfer transfer_of(const wire::Hello& hello) {
  if (hello.backend_transfer && hello.targets.empty()) return Transfer::all();
  return Transfer::only({hello.targets.begin(), hello.targets.end()});
}

Result<void> compare_parameter(const Transfer& source, const Transfer& destination) {
  if (source == destination) return {};
  if (source.any() && destination.any()) {
    return fail(
        "migration parameter 'backend-transfer' is '{}' on the source and '{}' on the destination: set the same with "
        "migrate-set-parameters on both",
        source.text(), destination.text());
  }
  const char* on = source.any() ? "source" : "destination";
  const char* off = source.any() ? "destination" : "source";
  return fail(
      "migration parameter 'backend-transfer' is set on the {} but not on the {}: set it with "
      "migrate-set-parameters on both",
      on, off);
}

}  // namespace

std::string vmm_version() { return PAGURUS_VERSION; }

wire::Hello make_hello(const machine::Handover& machine, const Parameters& parameters,
                       std::vector<std::string> extras) {
  wire::Hello hello;
  hello.vmm_version = vmm_version();
  hello.mode = parameters.transfer.any() ? wire::Mode::kLocal : wire::Mode::kCopy;
  hello.backend_transfer = parameters.transfer.any();
  hello.targets.assign(parameters.transfer.targets().begin(), parameters.transfer.targets().end());
  for (const auto& fact : machine.facts()) hello.facts.push_back({fact.name, fact.value});
  for (const auto& section : machine.sections())
    hello.sections.push_back({.name = section.name,
                              .signature = section.signature,
                              .version = section.version,
                              .required = section.required});
  for (const auto& movable : machine.movables()) {
    hello.backends.push_back({movable.name, movable.target, movable.kind, movable.signature, movable.takes_part});
  }
  hello.extras = std::move(extras);
  return hello;
}

Result<Agreement> compare(const wire::Hello& source, const wire::Hello& destination) {
  Transfer choice = transfer_of(source);
  TRY(compare_parameter(choice, transfer_of(destination)));
  TRY(compare_lists("property", facts_for(source.mode, source.facts), facts_for(source.mode, destination.facts),
                    [](const wire::FactEntry& fact) { return fact.value; }));
  Agreement agreement;
  agreement.unknown_sections = TRY(compare_sections(source.sections, destination.sections));
  auto leaving = by_name(source.backends);
  auto coming = by_name(destination.backends);
  TRY(compare_lists("back end", leaving, coming, [](const wire::BackendEntry& backend) {
    return std::string(backend.takes_part ? "backend-transfer=on" : "backend-transfer=off");
  }));
  if (source.mode == wire::Mode::kCopy) return agreement;
  for (size_t i = 0; i < leaving.size(); ++i) {
    const wire::BackendEntry& from = leaving[i];
    const wire::BackendEntry& to = coming[i];
    if (!from.takes_part || !choice.includes(from.target)) continue;
    if (from.kind != to.kind) {
      return fail("{}: the source has kind '{}', this destination '{}'", from.name, from.kind, to.kind);
    }
    if (from.signature != to.signature) {
      return fail("{}: its state is declared as '{}' in the source and as '{}' here", from.name, from.signature,
                  to.signature);
    }
    agreement.transfer.insert(from.name);
  }
  return agreement;
}

Result<void> check_passed_over(const std::vector<machine::SectionInfo>& sections,
                               const std::vector<std::string>& unknown) {
  for (const std::string& name : unknown) {
    auto section = std::ranges::find(sections, name, &machine::SectionInfo::name);
    if (section == sections.end() || section->required) {
      return fail("the destination would pass over state section '{}', which is not optional", name);
    }
  }
  return {};
}

Result<void> check_announced(const machine::Handover& machine, const Settings& settings,
                             const std::set<std::string>& transfer) {
  for (const auto& movable : machine.movables()) {
    bool arrives = transfer.contains(movable.name);
    if (movable.announced && !arrives) {
      return fail(
          "{} has local-incoming=on, but would not be transferred: set parameter 'backend-transfer' or "
          "capability 'local-tap' on both sides, or leave local-incoming=on away",
          movable.name);
    }
    if (arrives && !movable.announced && settings.capabilities.local_tap) {
      return fail(
          "{} has no local-incoming=on, which capability 'local-tap' needs: add it, or use parameter "
          "'backend-transfer' instead of the capability",
          movable.name);
    }
  }
  return {};
}

Result<void> check_movable(const machine::Handover& machine, const Parameters& parameters) {
  if (!parameters.transfer.any()) TRY(machine.check_copy());
  for (const auto& movable : machine.movables()) {
    bool moves = movable.takes_part && parameters.transfer.includes(movable.target);
    if (!moves && movable.movable != nullptr && movable.movable->inseparable()) {
      return std::unexpected(
          Error(fmt::format("{} has to move with the guest, and would not be transferred", movable.name))
              .remedy("set parameter 'backend-transfer', and property backend-transfer of its device"));
    }
    if (!moves || movable.obstacle.empty()) continue;
    return std::unexpected(
        Error(fmt::format("{} cannot move: {}", movable.name, movable.obstacle))
            .remedy("set backend-transfer=off for its device on both sides, or change the back end"));
  }
  return {};
}

}  // namespace pagurus::migration
