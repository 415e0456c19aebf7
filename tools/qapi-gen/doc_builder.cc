#include "doc_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/result.h"

namespace pagurus::qapi_gen {
namespace {

using Kind = DocSection::Kind;

std::unexpected<Diagnostic> refuse(const Position& at, std::string message) {
  return std::unexpected(Diagnostic{.at = at, .context = {}, .message = std::move(message), .rule = {}});
}

std::string no_text_message(const DocSection& section) {
  const bool named = section.kind == Kind::kMember || section.kind == Kind::kFeature;
  return named ? fmt::format("text required after '@{}:'", section.name)
               : fmt::format("text required after '{}:'", tag_of(section.kind));
}

// Spaces that all lines with text begin with.
size_t common_indentation(std::span<const std::string_view> lines) {
  size_t common = std::string_view::npos;
  for (const std::string_view line : lines) {
    if (!line.empty()) common = std::min(common, std::min(line.find_first_not_of(' '), line.size()));
  }
  return common;
}

}  // namespace

std::string_view tag_of(Kind kind) {
  switch (kind) {
    case Kind::kReturns: return "Returns";
    case Kind::kErrors: return "Errors";
    case Kind::kSince: return "Since";
    case Kind::kTodo: return "TODO";
    case Kind::kPlain:
    case Kind::kMember:
    case Kind::kFeature: break;
  }
  CHECK(false, "only sections with a tag are asked for it");
}

DocBuilder::DocBuilder(Position at, std::string_view symbol) {
  doc_->at = at;
  doc_->symbol = symbol;
  open({.kind = Kind::kPlain, .name = {}, .at = at, .text = {}});
}

void DocBuilder::open_plain(Position at) {
  if (drafts_.back().section.kind != Kind::kPlain) {
    open({.kind = Kind::kPlain, .name = {}, .at = at, .text = {}});
    return;
  }
  if (drafts_.back().lines.empty()) {
    drafts_.back().section.at = at;
  } else {
    append({});
  }
}

Checked<> DocBuilder::open_tagged(Kind kind, Position at) {
  if (!tags_.insert(kind).second && kind != Kind::kTodo) {
    return refuse(at, fmt::format("the '{}' section is there already", tag_of(kind)));
  }
  open({.kind = kind, .name = {}, .at = at, .text = {}});
  return {};
}

Checked<> DocBuilder::open_description(Kind kind, std::string_view name, Position at) {
  const std::string_view what = kind == Kind::kMember ? "member" : "feature";
  if (name.empty()) return refuse(at, fmt::format("a {}'s name is required after '@'", what));
  if (!(kind == Kind::kMember ? members_ : features_).insert(name).second) {
    return refuse(at, fmt::format("{} '{}' is described already", what, name));
  }
  open({.kind = kind, .name = std::string(name), .at = at, .text = {}});
  return {};
}

void DocBuilder::append_tag_text(std::string_view text) {
  if (text.empty()) return;
  append(text);
  drafts_.back().tag_has_text = true;
}

std::string DocBuilder::text_of(const Draft& draft) {
  std::span<const std::string_view> lines = draft.lines;
  while (!lines.empty() && lines.front().empty()) lines = lines.subspan(1);
  while (!lines.empty() && lines.back().empty()) lines = lines.first(lines.size() - 1);
  const size_t indentation = common_indentation(draft.tag_has_text && !lines.empty() ? lines.subspan(1) : lines);
  std::string text;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) text += '\n';
    const bool behind_tag = i == 0 && draft.tag_has_text;
    text += behind_tag ? lines[i] : lines[i].substr(std::min(indentation, lines[i].size()));
  }
  return text;
}

Checked<std::unique_ptr<Doc>> DocBuilder::finish() && {
  for (Draft& draft : drafts_) {
    draft.section.text = text_of(draft);
    if (draft.section.kind != Kind::kPlain && draft.section.text.empty()) {
      return refuse(draft.section.at, no_text_message(draft.section));
    }
    doc_->sections.push_back(std::move(draft.section));
  }
  return std::move(doc_);
}

}  // namespace pagurus::qapi_gen
