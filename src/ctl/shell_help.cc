#include "ctl/shell_help.h"

#include <fmt/format.h>

#include <algorithm>

#include "ctl/near_names.h"

namespace pagurus::ctl {
namespace {

using Kind = Introspection::Kind;

constexpr size_t kDeepest = 4;  // words of a key; types may contain themselves

constexpr std::string_view kOwnWords =
    "help [COMMAND]         this, or the arguments of a command\n"
    "quit, exit             leave; the guest goes on\n"
    "execute COMMAND ...    a command whose name is one of these words: 'execute quit' ends the guest's process\n"
    "oob COMMAND ...        a command out of band, before others that wait\n"
    "COMMAND name=value ... any other command; a.b=x is member b of object a, list.0=x the first of a list;\n"
    "                       or all arguments as one JSON object\n";

struct Line {
  std::string key;
  std::string text;
};

class ArgumentLines {
 public:
  explicit ArgumentLines(const Introspection& introspection) : introspection_(introspection) {}

  std::vector<Line> of(std::string_view type) {
    add_members(introspection_.type(type), "", "", 1);
    return std::move(lines_);
  }

 private:
  void add_members(const Introspection::Type& object, const std::string& prefix, const std::string& condition,
                   size_t depth) {
    for (const auto& member : object.members) {
      std::string key = prefix + member.name;
      std::string notes = condition;
      if (member.optional) notes += notes.empty() ? "optional" : ", optional";
      if (member.deprecated) notes += notes.empty() ? "deprecated" : ", deprecated";
      lines_.push_back({key, introspection_.description(member.type) + (notes.empty() ? "" : " (" + notes + ")")});
      add_parts(member.type, key, depth + 1);
    }
    for (const auto& variant : object.variants) {
      std::string when = fmt::format("with {}{}={}", prefix, object.discriminator, variant.value);
      add_members(introspection_.type(variant.type), prefix, when, depth);
    }
  }

  void add_parts(const std::string& type_name, const std::string& key, size_t depth) {
    if (depth > kDeepest) return;
    const Introspection::Type& type = introspection_.type(type_name);
    if (type.kind == Kind::kArray) {
      const Introspection::Type& element = introspection_.type(type.element);
      if (element.kind == Kind::kObject) add_members(element, key + ".0.", "", depth);
    }
    if (type.kind == Kind::kObject) add_members(type, key + ".", "", depth);
  }

  const Introspection& introspection_;
  std::vector<Line> lines_;
};

}  // namespace

std::string columns_text(const std::vector<std::string>& words, size_t width) {
  size_t widest = 1;
  for (const std::string& word : words) widest = std::max(widest, word.size());
  size_t columns = std::max<size_t>(1, (width + 2) / (widest + 2));
  size_t rows = (words.size() + columns - 1) / columns;
  std::string text;
  for (size_t row = 0; row < rows; ++row) {
    std::string line;
    for (size_t i = row; i < words.size(); i += rows) line += fmt::format("{:<{}}", words[i], widest + 2);
    while (line.ends_with(' ')) line.pop_back();
    text += line + "\n";
  }
  return text;
}

std::string overview_text(const Introspection* introspection, size_t width) {
  std::string text(kOwnWords);
  if (introspection == nullptr) return text + "\nThe server does not tell its commands.\n";
  return text + "\n" + columns_text(introspection->command_names(), width);
}

std::string command_help(const Introspection* introspection, const std::string& command) {
  if (introspection == nullptr) return "The server does not tell its commands.\n";
  const Introspection::Command* known = introspection->command(command);
  if (known == nullptr) {
    return fmt::format("There is no command '{}'{}\n", command, did_you_mean(command, introspection->command_names()));
  }
  std::string text = command;
  if (known->oob) text += ", also out of band";
  if (known->deprecated) text += ", deprecated";
  text += "\n";
  auto lines = ArgumentLines(*introspection).of(known->arguments);
  size_t widest = 0;
  for (const Line& line : lines) widest = std::max(widest, line.key.size());
  for (const Line& line : lines) text += fmt::format("  {:<{}}  {}\n", line.key, widest, line.text);
  if (lines.empty()) text += "  takes no arguments\n";
  const auto& result = introspection->type(known->result);
  bool returns = result.kind != Kind::kObject || !result.members.empty() || !result.variants.empty();
  if (returns) text += fmt::format("returns: {}\n", introspection->description(known->result));
  return text;
}

}  // namespace pagurus::ctl
