// What strict rules work with, and the rules themselves; strict.cc has the table.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "strict.h"

namespace pagurus::qapi_gen {

// A member, value, branch or argument that a definition itself lists, and therefore describes.
struct DescribedMember {
  std::string_view name;
  const Type* type = nullptr;                      // null: a value
  const std::vector<Feature>* features = nullptr;  // null: can have none
  const DocSection* text = nullptr;                // null: excused from documentation

  bool has_feature(std::string_view feature) const;
};

struct DescribedDefinition {
  const Entity* entity = nullptr;
  const Doc* doc = nullptr;
  std::vector<DescribedMember> members;                // in the order of the definition
  std::unordered_map<std::string_view, size_t> ranks;  // of the members, by name
  std::optional<SinceVersion> since;                   // if it is there and well-formed

  // Null if the definition does not list it itself.
  const DescribedMember* find(std::string_view name) const;
};

struct StrictInput {
  const Schema& schema;
  SinceVersion project;
  std::vector<DescribedDefinition> definitions;
};

struct StrictFinding {
  const Entity* entity = nullptr;  // null: it is in no definition
  Position at;
  std::string message;
};

struct StrictFindings {
  std::vector<StrictFinding> found;

  void add(const DescribedDefinition& definition, const Position& at, std::string message) {
    found.push_back({.entity = definition.entity, .at = at, .message = std::move(message)});
  }
};

StrictInput strict_input(const Schema& schema, SinceVersion project);

// strict_features.cc
void check_feature_members(const StrictInput& input, StrictFindings& findings);
void check_deprecated(const StrictInput& input, StrictFindings& findings);
// strict_sections.cc
void check_member_order(const StrictInput& input, StrictFindings& findings);
void check_returns(const StrictInput& input, StrictFindings& findings);
// strict_since.cc
void check_since_present(const StrictInput& input, StrictFindings& findings);
void check_since_form(const StrictInput& input, StrictFindings& findings);
void check_since_version(const StrictInput& input, StrictFindings& findings);
void check_since_addition(const StrictInput& input, StrictFindings& findings);
// strict_lines.cc
void check_line_length(const StrictInput& input, StrictFindings& findings);
void check_sentence_spaces(const StrictInput& input, StrictFindings& findings);
// strict_socket.cc
void check_unix_socket(const StrictInput& input, StrictFindings& findings);

}  // namespace pagurus::qapi_gen
