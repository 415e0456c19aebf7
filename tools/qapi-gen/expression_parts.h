// The pieces that several kinds of expressions share: keys, names of types, members, features.
//
// A `subject` is what a message is about, as "'data' member 'x'".  Every message points to the place of the
// whole expression.
#pragma once

#include <string_view>
#include <vector>

#include "definition.h"
#include "names.h"
#include "value.h"

namespace pagurus::qapi_gen {

using Keys = std::vector<std::string_view>;

// An object must have all required keys, and no others but the optional ones.
Checked<> check_keys(const Value& object, std::string_view subject, const Keys& required, const Keys& optional,
                     const Place& place);

Checked<std::string> read_type_name(const Value& value, std::string_view subject, const Place& place);
Checked<TypeReference> read_type_reference(const Value& value, std::string_view subject, const Place& place);
Checked<std::vector<Feature>> read_features(const Value* value, const Place& place);
// Of the types whose place an object with members may take.
std::unexpected<Diagnostic> refuse_neither(std::string_view subject, const Place& place);
// An object's members, each 'NAME': TYPE or 'NAME': { 'type': TYPE, ... }.
Checked<std::vector<MemberDraft>> read_members(const Value& value, std::string_view subject, Spelling spelling,
                                               const Place& place);
// A union's or an alternate's, which have neither features nor a '*'.
Checked<std::vector<MemberDraft>> read_branches(const Value& value, Meta meta, const Place& place);

}  // namespace pagurus::qapi_gen
