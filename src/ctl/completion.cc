#include "ctl/completion.h"

#include <algorithm>
#include <optional>
#include <span>

#include "ctl/arguments.h"
#include "ctl/shell_words.h"

namespace pagurus::ctl {

using qapi::Json;

namespace {

using Kind = Introspection::Kind;

struct Candidate {
  std::string text;
  std::string_view suffix;  // added if it is the only one
};

Completion choose(std::string_view typed, std::vector<Candidate> candidates) {
  std::erase_if(candidates, [&](const Candidate& candidate) { return !candidate.text.starts_with(typed); });
  if (candidates.empty()) return {};
  if (candidates.size() == 1) {
    return {.insert = candidates[0].text.substr(typed.size()) + std::string(candidates[0].suffix)};
  }
  std::string common = candidates[0].text;
  Completion completion;
  for (const Candidate& candidate : candidates) {
    auto differs = std::ranges::mismatch(common, candidate.text);
    common.erase(differs.in1, common.end());
    completion.choices.push_back(candidate.text);
  }
  completion.insert = common.substr(typed.size());
  if (!completion.insert.empty()) completion.choices.clear();
  return completion;
}

std::vector<Candidate> command_names(const Introspection* introspection) {
  std::vector<Candidate> candidates;
  if (introspection == nullptr) return candidates;
  for (std::string& name : introspection->command_names()) candidates.push_back({std::move(name), " "});
  return candidates;
}

std::vector<Candidate> first_words(const Introspection* introspection) {
  auto candidates = command_names(introspection);
  for (std::string_view name : kBuiltins) {
    auto same = std::ranges::find(candidates, name, &Candidate::text);
    if (same == candidates.end()) candidates.push_back({std::string(name), " "});
  }
  std::ranges::sort(candidates, {}, &Candidate::text);
  return candidates;
}

// A place inside the arguments: its type, and what has been said about it so far.
struct Place {
  std::string type;
  Json given;
};

std::string element_type(const Introspection& introspection, const std::string& type) {
  const auto& named = introspection.type(type);
  if (named.kind == Kind::kArray) return named.element;
  for (const std::string& branch : named.branches) {
    if (introspection.type(branch).kind == Kind::kArray) return introspection.type(branch).element;
  }
  return "";
}

bool is_index(std::string_view word) {
  return !word.empty() && word.size() < 6 && std::ranges::all_of(word, [](char c) { return c >= '0' && c <= '9'; });
}

// Where `word` leads from a place; nullopt if nowhere.
std::optional<Place> step(const Introspection& introspection, const Place& from, std::string_view word) {
  std::string element = element_type(introspection, from.type);
  if (!element.empty() && is_index(word)) {
    size_t index = std::stoul(std::string(word));
    bool known = from.given.is_array() && index < from.given.as_array().size();
    return Place{std::move(element), known ? from.given.as_array()[index] : Json()};
  }
  auto members = introspection.members(from.type, from.given);
  auto member = std::ranges::find(members, word, &Introspection::Member::name);
  if (member == members.end()) return std::nullopt;
  const Json* given = from.given.find(word);
  return Place{member->type, given == nullptr ? Json() : *given};
}

// What goes on behind a name: a part of it, or its value.
std::string_view name_suffix(const Introspection& introspection, const std::string& type) {
  Kind kind = introspection.type(type).kind;
  return kind == Kind::kArray || kind == Kind::kObject ? "." : "=";
}

std::vector<Candidate> names_at(const Introspection& introspection, const Place& place) {
  std::vector<Candidate> candidates;
  for (const auto& member : introspection.members(place.type, place.given)) {
    const Json* given = place.given.find(member.name);
    if (given != nullptr && given->is_string()) continue;
    candidates.push_back({member.name, name_suffix(introspection, member.type)});
  }
  std::string element = element_type(introspection, place.type);
  if (!element.empty()) {
    size_t next = place.given.is_array() ? place.given.as_array().size() : 0;
    candidates.push_back({std::to_string(next), name_suffix(introspection, element)});
  }
  return candidates;
}

// text: "a.b.na" or "a.b.name=val".
Completion complete_argument(const Introspection& introspection, Place place, std::string_view text) {
  size_t equals = text.find('=');
  std::string_view key = text.substr(0, equals);
  while (true) {
    size_t dot = key.find('.');
    if (dot == std::string_view::npos && equals == std::string_view::npos) {
      return choose(key, names_at(introspection, place));
    }
    auto next = step(introspection, place, key.substr(0, dot));
    if (!next) return {};
    place = std::move(*next);
    if (dot == std::string_view::npos) break;
    key.remove_prefix(dot + 1);
  }
  std::vector<Candidate> values;
  for (std::string& value : introspection.choices(place.type)) values.push_back({std::move(value), " "});
  return choose(text.substr(equals + 1), std::move(values));
}

}  // namespace

Completion complete(const Introspection* introspection, std::string_view text) {
  ShellWords line = split_words(text);
  std::string current = line.in_last ? line.words.back() : "";
  // Inside quotes and JSON what is typed is not what is meant; nothing is added there.
  if (line.in_last && text.substr(line.last_begin) != current) return {};
  if (line.in_last) line.words.pop_back();
  std::span<const std::string> before = line.words;
  if (before.empty()) return choose(current, first_words(introspection));
  bool names_command = before[0] == "help" || before[0] == "execute" || before[0] == "oob";
  if (names_command && before.size() == 1) return choose(current, command_names(introspection));
  if (before[0] == "help" || introspection == nullptr) return {};
  if (names_command) before = before.subspan(1);
  const Introspection::Command* command = introspection->command(before[0]);
  if (command == nullptr) return {};
  auto given = parse_arguments(before.subspan(1));
  return complete_argument(*introspection, {command->arguments, given ? std::move(given->tree) : Json()}, current);
}

}  // namespace pagurus::ctl
