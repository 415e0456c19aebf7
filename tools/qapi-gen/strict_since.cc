// Strict rules about since when things exist.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "strict_rules.h"
#include "strict_text.h"

namespace pagurus::qapi_gen {
namespace {

using Kind = DocSection::Kind;

// "(Since 1.1)" or what is meant to be one.
struct Addition {
  size_t at = 0;  // of the parenthesis
  size_t end = 0;
  std::string text;
  std::optional<SinceVersion> version;  // if it is well-formed
};

constexpr std::string_view kStart = "(Since ";

bool starts_addition(std::string_view text) {
  constexpr std::string_view kAnyCase = "(since";
  return text.size() > kAnyCase.size() &&
         std::ranges::equal(text.substr(0, kAnyCase.size()), kAnyCase,
                            [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; }) &&
         std::isalpha(static_cast<unsigned char>(text[kAnyCase.size()])) == 0;
}

std::vector<Addition> additions(const DocSection& section) {
  std::vector<Addition> found;
  std::string text = section.text;
  std::ranges::replace(text, '\n', ' ');
  for (size_t at = text.find('('); at != std::string::npos; at = text.find('(', at + 1)) {
    if (!starts_addition(std::string_view(text).substr(at))) continue;
    const size_t stop = std::min(text.find_first_of("()", at + 1), text.size());
    const size_t end = text.substr(stop, 1) == ")" ? stop + 1 : stop;
    Addition addition{.at = at, .end = end, .text = text.substr(at, end - at), .version = {}};
    if (addition.text.starts_with(kStart) && addition.text.ends_with(')')) {
      addition.version =
          SinceVersion::parse(addition.text.substr(kStart.size(), addition.text.size() - kStart.size() - 1));
    }
    found.push_back(addition);
  }
  return found;
}

// Where there may be a later addition: descriptions of members and features.
template <class Function>
void for_each_description(const StrictInput& input, Function function) {
  for (const DescribedDefinition& definition : input.definitions) {
    for (const DocSection& section : definition.doc->sections) {
      if (section.kind == Kind::kMember || section.kind == Kind::kFeature) function(definition, section);
    }
  }
}

// The version from which on the type of a member exists, if it says so.
std::optional<SinceVersion> since_of_type(const Type* type) {
  if (type != nullptr && type->kind == Entity::Kind::kArray) type = static_cast<const ArrayType*>(type)->element;
  if (type == nullptr || type->doc == nullptr) return std::nullopt;
  const DocSection* since = type->doc->find(Kind::kSince);
  return since != nullptr ? SinceVersion::parse(since->text) : std::nullopt;
}

void check_addition(const DescribedDefinition& definition, const DocSection& section,
                    const std::vector<Addition>& found, StrictFindings& findings) {
  const auto refuse = [&](std::string message) { findings.add(definition, section.at, std::move(message)); };
  if (found.size() > 1) {
    return refuse(fmt::format("'@{}' says twice since when it exists: {} and {}; once is enough", section.name,
                              found[0].text, found[1].text));
  }
  const Addition& addition = found.front();
  if (addition.version && definition.since && *addition.version <= *definition.since) {
    return refuse(fmt::format("'@{}' is no later addition: {} exists since {}; remove {}", section.name,
                              definition.entity->name, definition.since->text(), addition.text));
  }
  if (addition.end != section.text.size()) {
    refuse(fmt::format("{} must be the last word about '@{}'", addition.text, section.name));
  }
}

void check_later_types(const DescribedDefinition& definition, StrictFindings& findings) {
  if (!definition.since) return;
  for (const DescribedMember& member : definition.members) {
    const auto since = since_of_type(member.type);
    if (!since || *since <= *definition.since || member.text == nullptr) continue;
    const std::vector<Addition> said = additions(*member.text);
    if (!said.empty() && (!said[0].version || *said[0].version >= *since)) continue;
    findings.add(definition, member.text->at,
                 fmt::format("'@{}' is a later addition, because its type exists since {}: end its text with "
                             "(Since {})",
                             member.name, since->text(), since->text()));
  }
}

}  // namespace

void check_since_present(const StrictInput& input, StrictFindings& findings) {
  for (const DescribedDefinition& definition : input.definitions) {
    if (definition.doc->find(Kind::kSince) != nullptr) continue;
    findings.add(definition, definition.doc->at,
                 fmt::format("nothing says since when '{}' exists; add 'Since: {}'", definition.entity->name,
                             input.project.text()));
  }
}

void check_since_form(const StrictInput& input, StrictFindings& findings) {
  for (const DescribedDefinition& definition : input.definitions) {
    const DocSection* since = definition.doc->find(Kind::kSince);
    if (since == nullptr || definition.since) continue;
    findings.add(definition, since->at,
                 fmt::format("'{}' is no version; write X.Y, as in 'Since: {}'", since->text, input.project.text()));
  }
  for_each_description(input, [&](const DescribedDefinition& definition, const DocSection& section) {
    for (const Addition& addition : additions(section)) {
      if (addition.version) continue;
      findings.add(definition, section.at,
                   fmt::format("'{}' about '@{}' must be written as in '(Since {})'", addition.text, section.name,
                               input.project.text()));
    }
  });
}

void check_since_version(const StrictInput& input, StrictFindings& findings) {
  const auto check = [&](const DescribedDefinition& definition, const DocSection& section, SinceVersion since) {
    if (since <= input.project) return;
    findings.add(definition, section.at,
                 fmt::format("version {} is still to come; this is {}", since.text(), input.project.text()));
  };
  for (const DescribedDefinition& definition : input.definitions) {
    if (definition.since) check(definition, *definition.doc->find(Kind::kSince), *definition.since);
  }
  for_each_description(input, [&](const DescribedDefinition& definition, const DocSection& section) {
    for (const Addition& addition : additions(section)) {
      if (addition.version) check(definition, section, *addition.version);
    }
  });
}

void check_since_addition(const StrictInput& input, StrictFindings& findings) {
  for_each_description(input, [&](const DescribedDefinition& definition, const DocSection& section) {
    const std::vector<Addition> found = additions(section);
    if (!found.empty()) check_addition(definition, section, found, findings);
  });
  for (const DescribedDefinition& definition : input.definitions) check_later_types(definition, findings);
}

}  // namespace pagurus::qapi_gen
