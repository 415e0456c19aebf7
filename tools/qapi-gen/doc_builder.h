// Collects the lines of a documentation comment's sections.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "doc.h"

namespace pagurus::qapi_gen {

class DocBuilder {
 public:
  // A definition's comment if there is a symbol, else free-form.
  DocBuilder(Position at, std::string_view symbol);

  // Goes on with the section of plain text, or opens one.
  void open_plain(Position at);
  // Each kind only once, but TODO.
  Checked<> open_tagged(DocSection::Kind kind, Position at);
  // A member's or a feature's description; each name only once.
  Checked<> open_description(DocSection::Kind kind, std::string_view name, Position at);
  // What is written behind the tag or the name, in the same line; may be empty.
  void append_tag_text(std::string_view text);
  void append(std::string_view line) { drafts_.back().lines.emplace_back(line); }
  bool free_form() const { return doc_->free_form(); }
  bool has_features() const { return !features_.empty(); }

  // Refuses sections without text.
  Checked<std::unique_ptr<Doc>> finish() &&;

 private:
  struct Draft {
    DocSection section;
    std::vector<std::string_view> lines;
    bool tag_has_text = false;  // the first line stands behind the tag
  };
  void open(DocSection section) { drafts_.push_back({.section = std::move(section), .lines = {}}); }
  static std::string text_of(const Draft& draft);

  std::unique_ptr<Doc> doc_ = std::make_unique<Doc>();
  std::vector<Draft> drafts_;
  std::set<std::string_view> members_;
  std::set<std::string_view> features_;
  std::set<DocSection::Kind> tags_;
};

// As it is written, "Returns".
std::string_view tag_of(DocSection::Kind kind);

}  // namespace pagurus::qapi_gen
