// The strict rule about what requires a UNIX domain socket.
//
// File descriptors travel over nothing else, and whoever finds that out at run time has set up everything for
// nothing.  So every text that is about such a need uses the same words, and can be searched for.  A text is a
// definition's introduction, or the description of a member, value or feature.  It must contain the phrase if
//  - it mentions SCM_RIGHTS;
//  - one of its sentences has both "UNIX domain socket" and a word of need;
//  - it describes a member whose type says so in its own introduction;
//  - it describes a member whose namesake in another definition says so.
// And whatever it says about such a socket, it calls it "UNIX domain socket".
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "strict_rules.h"
#include "strict_text.h"

namespace pagurus::qapi_gen {
namespace {

using Kind = DocSection::Kind;

constexpr std::string_view kPhrase = "requires a UNIX domain socket";
constexpr std::string_view kSocket = "UNIX domain socket";

bool contains(const std::vector<std::string>& sentences, std::string_view text) {
  return std::ranges::any_of(sentences, [&](const std::string& sentence) { return sentence.contains(text); });
}

bool says_so(const DocSection& section) { return contains(sentences(section.text), kPhrase); }

bool speaks_of_need(const std::string& sentence) {
  constexpr auto kWords = std::to_array<std::string_view>(
      {"have to", "has to", "must", "need", "needed", "needs", "only", "require", "required", "requires"});
  return sentence.contains(kSocket) &&
         std::ranges::any_of(kWords, [&](std::string_view word) { return has_word(sentence, word); });
}

bool is_misnamed(const std::string& sentence) {
  constexpr auto kOtherNames =
      std::to_array<std::string_view>({"AF_UNIX", "UNIX socket", "UNIX sockets", "UNIX-domain socket", "local socket"});
  if (std::ranges::any_of(kOtherNames, [&](std::string_view name) { return has_word(sentence, name); })) return true;
  const bool other_case = has_word(sentence, kSocket) || has_word(sentence, "UNIX domain sockets");
  return other_case && !sentence.contains(kSocket);
}

const Type& element_of(const Type& type) {
  return type.kind == Entity::Kind::kArray ? *static_cast<const ArrayType&>(type).element : type;
}

class SocketRule {
 public:
  SocketRule(const StrictInput& input, StrictFindings& findings) : input_(input), findings_(findings) {
    for (const DescribedDefinition& definition : input.definitions) {
      for (const DescribedMember& member : definition.members) {
        if (member.text != nullptr && says_so(*member.text)) sayers_.emplace(member.name, definition.entity);
      }
    }
  }

  void check() {
    for (const DescribedDefinition& definition : input_.definitions) {
      for (const DocSection& section : definition.doc->sections) check(definition, section);
    }
  }

 private:
  void check(const DescribedDefinition& definition, const DocSection& section) {
    const std::vector<std::string> all = sentences(section.text);
    if (std::ranges::any_of(all, is_misnamed)) {
      findings_.add(definition, section.at, fmt::format("such a socket is called a '{}' everywhere", kSocket));
      return;
    }
    const bool may_need =
        section.kind == Kind::kPlain || section.kind == Kind::kMember || section.kind == Kind::kFeature;
    if (!may_need || contains(all, kPhrase)) return;
    const std::string reason = reason_of(definition, section, all);
    if (reason.empty()) return;
    findings_.add(definition, section.at, fmt::format("the text must say '{}', because {}", kPhrase, reason));
  }

  std::string reason_of(const DescribedDefinition& definition, const DocSection& section,
                        const std::vector<std::string>& all) const {
    if (contains(all, "SCM_RIGHTS")) return "SCM_RIGHTS works over nothing else";
    if (std::ranges::any_of(all, speaks_of_need)) return "it speaks of that need in other words";
    if (section.kind != Kind::kMember) return {};
    const DescribedMember* member = definition.find(section.name);
    if (member == nullptr) return {};
    if (member->type != nullptr && type_says_so(element_of(*member->type))) {
      return fmt::format("the type of '@{}' says so", section.name);
    }
    const auto sayer = sayers_.find(section.name);
    if (sayer == sayers_.end()) return {};
    return fmt::format("'@{}' of '{}' says so", section.name, sayer->second->name);
  }

  static bool type_says_so(const Type& type) {
    return type.doc != nullptr && !type.doc->sections.empty() && says_so(type.doc->sections.front());
  }

  const StrictInput& input_;
  StrictFindings& findings_;
  std::map<std::string_view, const Entity*> sayers_;
};

}  // namespace

void check_unix_socket(const StrictInput& input, StrictFindings& findings) { SocketRule(input, findings).check(); }

}  // namespace pagurus::qapi_gen
