// Structs, and what unions share with them: bases, members, and names that clash.
#include <fmt/core.h>

#include "base/result.h"
#include "linker.h"
#include "names.h"

namespace pagurus::qapi_gen {
namespace {

// Types that are looked at because others contain them; more would exhaust the stack.
constexpr size_t kMaxDepth = 500;
// Members of all types together, inherited ones counted each time; more would exhaust the memory.
constexpr size_t kMaxMembers = 4'000'000;

std::unexpected<Diagnostic> refuse_clash(const Draft& draft, const Member& member, const Member& other,
                                         std::string_view whose) {
  return draft.place().refuse(fmt::format("member '{}' collides with {} '{}'{}", member.name, whose, other.name,
                                          member.name == other.name ? "" : ": C would not tell them apart"));
}

}  // namespace

Checked<> Linker::spend(size_t members, const Draft& draft) {
  spent_ += members;
  if (spent_ <= kMaxMembers) return {};
  return draft.place().refuse(fmt::format(
      "the schema is too large: its types have more than {} members, inherited ones included", kMaxMembers));
}

Checked<> Linker::check_base(Draft& draft, Seen& seen) {
  if (draft.base.empty()) return {};
  Draft& base = *TRY(find_type(draft.base, draft, "'base'"));
  if (base.entity->kind != Entity::Kind::kObject || base.branches != nullptr) {
    return draft.place().refuse(fmt::format("'base' requires a struct type, which {} is not", describe(base)));
  }
  TRY(check_object(base));
  ObjectType& object = static_cast<ObjectType&>(*draft.entity);
  object.base = static_cast<const ObjectType*>(base.entity.get());
  TRY(spend(object.base->members.size(), draft));
  object.members = object.base->members;
  for (const Member* member : object.members) seen.emplace(identifier(member->name), member);
  return {};
}

Checked<> Linker::check_members(Draft& draft, Seen& seen) {
  if (draft.members == nullptr) return {};
  ObjectType& object = static_cast<ObjectType&>(*draft.entity);
  TRY(spend(draft.members->size(), draft));
  const size_t inherited = object.members.size();
  // The pointers of `members` must stay valid.
  object.local_members.reserve(draft.members->size());
  for (const MemberDraft& written : *draft.members) {
    const Draft& type =
        *TRY(find_value_type(written.type.type_name(), draft, fmt::format("member '{}'", written.name)));
    if (const Feature* feature = repeated(written.features)) {
      return draft.place().refuse(fmt::format("member '{}' has feature '{}' twice", written.name, feature->name));
    }
    const Member& member = object.local_members.emplace_back(Member{.name = written.name,
                                                                    .type = static_cast<const Type*>(type.entity.get()),
                                                                    .optional = written.optional,
                                                                    .condition = written.condition,
                                                                    .features = written.features,
                                                                    .at = written.at});
    const auto [other, added] = seen.emplace(identifier(member.name), &member);
    if (!added) {
      // Local members come after the base's.
      const Member* first = object.local_members.data();
      const bool local = inherited == 0 || (other->second >= first && other->second <= &member);
      return refuse_clash(draft, member, *other->second, local ? "member" : "the base's member");
    }
    object.members.push_back(&member);
  }
  return {};
}

Checked<> Linker::check_object(Draft& draft) {
  if (draft.state == Draft::State::kDone) return {};
  if (draft.state == Draft::State::kRunning) {
    return draft.place().refuse(
        fmt::format("{} contains itself, through its base or through a branch", describe(draft)));
  }
  if (depth_ == kMaxDepth) {
    return draft.place().refuse(fmt::format("types contain each other more than {} levels deep", kMaxDepth));
  }
  draft.state = Draft::State::kRunning;
  ++depth_;
  TRY(check_features(draft));
  Seen seen;
  TRY(check_base(draft, seen));
  TRY(check_members(draft, seen));
  if (draft.branches != nullptr) TRY(check_union(draft, seen));
  --depth_;
  draft.state = Draft::State::kDone;
  return {};
}

}  // namespace pagurus::qapi_gen
