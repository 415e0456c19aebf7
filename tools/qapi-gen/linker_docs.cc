// Documentation comments against definitions: what a definition has must be described.
#include "base/result.h"
#include "linker.h"

namespace pagurus::qapi_gen {

Checked<> Linker::connect_features(const Doc& doc, const std::vector<Feature>& features, const Place& place) {
  for (const Feature& feature : features) TRY(docs_.connect_feature(doc, feature.name, place));
  return {};
}

Checked<> Linker::connect(const Doc& doc, std::string_view name, std::string_view role,
                          const std::vector<Feature>& features, const Place& place) {
  TRY(docs_.connect_member(doc, name, role, place));
  return connect_features(doc, features, place);
}

// The members that a definition lists itself; those of a named base are described there.
Checked<> Linker::connect_members(const Draft& draft, const Doc& doc, const Place& place) {
  const Draft* base = draft.base.empty() ? nullptr : find(draft.base);
  if (base != nullptr && base->implicit_object()) TRY(connect_members(*base, doc, place));
  if (draft.members == nullptr) return {};
  for (const MemberDraft& member : *draft.members) TRY(connect(doc, member.name, "member", member.features, place));
  return {};
}

Checked<> Linker::connect_arguments(const Draft& draft, const Doc& doc) {
  const Draft* arguments = draft.arguments.empty() ? nullptr : find(draft.arguments);
  if (arguments == nullptr || !arguments->implicit_object()) return {};
  return connect_members(*arguments, doc, draft.place());
}

Checked<> Linker::connect_docs(const Draft& draft) {
  if (draft.entity->doc == nullptr) return {};
  const Doc& doc = *draft.entity->doc;
  TRY(connect_features(doc, draft.entity->features, draft.place()));
  switch (draft.definition->meta) {
    case Meta::kEnum:
      for (const EnumMember& value : draft.definition->values) {
        TRY(connect(doc, value.name, "value", value.features, draft.place()));
      }
      return {};
    case Meta::kAlternate:
      for (const MemberDraft& branch : *draft.branches) {
        TRY(connect(doc, branch.name, "branch", {}, draft.place()));
      }
      return {};
    case Meta::kStruct:
    case Meta::kUnion: return connect_members(draft, doc, draft.place());
    case Meta::kCommand:
    case Meta::kEvent: return connect_arguments(draft, doc);
  }
  CHECK(false, "all kinds of definitions are handled");
}

}  // namespace pagurus::qapi_gen
