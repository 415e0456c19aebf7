#include "markup.h"

#include <algorithm>
#include <cctype>

namespace pagurus::qapi_gen {
namespace {

// What an example shows, in front of its lines.
constexpr std::string_view kTitle = ":title: ";

bool is_name_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_'; }

size_t indentation(std::string_view line) { return std::min(line.find_first_not_of(' '), line.size()); }

// "- " or "* " or "12. ": the marker as it is shown; empty if the line begins no item.
std::string item_marker(std::string_view line) {
  line.remove_prefix(indentation(line));
  if (line.starts_with("- ") || line.starts_with("* ")) return "-";
  size_t digits = 0;
  while (digits < line.size() && std::isdigit(static_cast<unsigned char>(line[digits])) != 0) ++digits;
  if (digits > 0 && line.substr(digits).starts_with(". ")) return std::string(line.substr(0, digits + 1));
  return "";
}

bool is_rule(std::string_view line) {
  return line.size() >= 3 && std::string_view("*=-~").contains(line[0]) &&
         std::ranges::all_of(line, [&](char c) { return c == line[0]; });
}

// "====" below a line of text, and at least as long.
bool is_underline(std::string_view text, std::string_view line) {
  return is_rule(line) && !is_rule(text) && indentation(text) == 0 && line.size() >= text.size();
}

class Reader {
 public:
  explicit Reader(std::string_view text) {
    while (!text.empty()) {
      size_t end = std::min(text.find('\n'), text.size());
      lines_.emplace_back(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }

  std::vector<Block> read() {
    while (at_ < lines_.size()) {
      if (blank(at_))
        ++at_;
      else if (is_rule(lines_[at_]) && at_ + 2 < lines_.size() && is_rule(lines_[at_ + 2]))
        read_heading(1);
      else if (at_ + 1 < lines_.size() && is_underline(lines_[at_], lines_[at_ + 1]))
        read_heading(0);
      else if (lines_[at_].substr(indentation(lines_[at_])).starts_with(".."))
        read_directive();
      else
        read_prose();
    }
    return std::move(blocks_);
  }

 private:
  bool blank(size_t line) const { return indentation(lines_[line]) == lines_[line].size(); }

  // Adds what stands this far in: inside of those items whose text begins no further in.
  void add(Block block, size_t indented) {
    while (!items_.empty() && items_.back().text_at > indented) items_.pop_back();
    block.depth = items_.size();
    for (const Item& item : items_) block.inset += item.width;
    blocks_.push_back(std::move(block));
  }

  // `rules` above it; there is another one below.
  void read_heading(size_t rules) {
    add({.kind = Block::Kind::kHeading, .spans = parse_spans(lines_[at_ + rules])}, 0);
    at_ += rules + 2;
  }

  // ".. qmp-example::" and what else there may be; text of its own becomes a paragraph.
  void read_directive() {
    size_t outer = indentation(lines_[at_]);
    std::string_view line = std::string_view(lines_[at_]).substr(outer + 2);
    line.remove_prefix(indentation(line));
    size_t colons = line.find("::");
    ++at_;
    if (colons == std::string_view::npos) return skip_comment(outer);
    std::string name(line.substr(0, colons));
    if (name == "qmp-example" || name == "code-block" || name == "code")
      return read_lines(outer, outer, Block::Kind::kExample);
    if (!name.empty()) name[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(name[0])));
    add({.kind = Block::Kind::kParagraph, .spans = parse_spans(name + ":" + std::string(line.substr(colons + 2)))},
        outer);
  }

  // ".. words" are for readers of the schema alone, and so is what is further in.
  void skip_comment(size_t outer) {
    while (at_ < lines_.size() && !blank(at_) && indentation(lines_[at_]) > outer) ++at_;
  }

  // The lines that are further in than `outer`.  They are a block as far in as `place`.
  void read_lines(size_t outer, size_t place, Block::Kind kind) {
    std::vector<std::string> body;
    size_t common = SIZE_MAX;
    while (at_ < lines_.size() && (blank(at_) || indentation(lines_[at_]) > outer)) {
      std::string_view line = std::string_view(lines_[at_]).substr(indentation(lines_[at_]));
      if (body.empty() && line.starts_with(kTitle)) {
        add({.kind = Block::Kind::kParagraph, .spans = parse_spans(line.substr(kTitle.size()))}, place);
      }
      bool option = body.empty() && line.starts_with(":");
      if (!option && !(body.empty() && blank(at_))) {
        body.push_back(blank(at_) ? "" : lines_[at_]);
        if (!blank(at_)) common = std::min(common, indentation(lines_[at_]));
      }
      ++at_;
    }
    while (!body.empty() && body.back().empty()) body.pop_back();
    Block block{.kind = kind};
    for (const std::string& line : body) block.lines += (line.empty() ? line : line.substr(common)) + "\n";
    if (!block.lines.empty()) add(std::move(block), place);
  }

  void read_prose() {
    size_t outer = indentation(lines_[at_]);
    Block block{.kind = Block::Kind::kParagraph, .marker = item_marker(lines_[at_])};
    std::string text = lines_[at_++].substr(outer);
    if (!block.marker.empty()) {
      block.kind = Block::Kind::kItem;
      text = text.substr(text.find(' ') + 1);
    }
    while (at_ < lines_.size() && !blank(at_) && item_marker(lines_[at_]).empty()) {
      text += " " + lines_[at_].substr(indentation(lines_[at_]));
      ++at_;
    }
    bool literal_follows = text.ends_with("::");
    if (literal_follows) text.pop_back();
    bool is_item = block.kind == Block::Kind::kItem;
    if (text != ":") {
      block.spans = parse_spans(text);
      size_t width = block.marker.size() + 1;
      add(std::move(block), outer);
      if (is_item) items_.push_back({.text_at = outer + 1, .width = width});
    }
    if (literal_follows) read_lines(outer, is_item ? outer + 1 : outer, Block::Kind::kLiteral);
  }

  // A list's item that the lines in hand may be part of.
  struct Item {
    size_t text_at;  // what is indented so far belongs to it
    size_t width;    // of its marker
  };

  std::vector<std::string> lines_;
  size_t at_ = 0;
  std::vector<Item> items_;
  std::vector<Block> blocks_;
};

}  // namespace

std::vector<Span> parse_spans(std::string_view text) {
  std::vector<Span> spans;
  auto add = [&spans](Span::Kind kind, std::string_view words) {
    if (words.empty()) return;
    if (kind == Span::Kind::kText && !spans.empty() && spans.back().kind == kind)
      spans.back().text += words;
    else
      spans.push_back({kind, std::string(words)});
  };
  while (!text.empty()) {
    size_t mark = std::min(text.find_first_of("`@"), text.size());
    add(Span::Kind::kText, text.substr(0, mark));
    text.remove_prefix(mark);
    if (text.empty()) break;
    std::string_view quote = text.starts_with("``") ? "``" : "`";
    size_t end = text.find(quote, quote.size());
    size_t name = 1;
    while (name < text.size() && is_name_character(text[name])) ++name;
    if (text[0] == '`' && end != std::string_view::npos) {
      add(quote.size() == 2 ? Span::Kind::kLiteral : Span::Kind::kReference,
          text.substr(quote.size(), end - quote.size()));
      text.remove_prefix(end + quote.size());
    } else if (text[0] == '@' && name > 1) {
      add(Span::Kind::kMember, text.substr(1, name - 1));
      text.remove_prefix(name);
    } else {
      add(Span::Kind::kText, text.substr(0, 1));
      text.remove_prefix(1);
    }
  }
  return spans;
}

std::vector<Block> parse_markup(std::string_view text) { return Reader(text).read(); }

}  // namespace pagurus::qapi_gen
