#include "parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/result.h"
#include "doc_parser.h"
#include "lexer.h"
#include "pragma.h"
#include "unicode.h"
#include "value_reader.h"

namespace pagurus::qapi_gen {
namespace {

std::unexpected<Diagnostic> refuse(const Position& at, std::string message) {
  return std::unexpected(Diagnostic{.at = at, .context = {}, .message = std::move(message), .rule = {}});
}

// What tells whether two paths are one file.  Links are not followed, "x/../" is taken away as it is written.
std::string identity(const std::string& path) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path, error);
  std::string result = (error ? std::filesystem::path(path) : absolute).lexically_normal().string();
  if (result.size() > 1 && result.ends_with('/')) result.pop_back();
  return result;
}

// "\r\n" and "\r" end lines, too.
std::string with_newlines(const std::string& text) {
  std::string result;
  result.reserve(text.size() + 1);
  for (size_t i = 0; i < text.size(); ++i) {
    const bool pair = text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
    if (!pair) result += text[i] == '\r' ? '\n' : text[i];
  }
  if (!result.ends_with('\n')) result += '\n';
  return result;
}

Checked<> check_utf8(const SourceFile& file) {
  const auto bad = find_bad_utf8(file.text);
  if (!bad) return {};
  const std::string_view before = std::string_view(file.text).substr(0, *bad);
  const size_t line_start = before.rfind('\n') + 1;
  const auto line = static_cast<int>(std::ranges::count(before, '\n')) + 1;
  const auto column = static_cast<int>(character_count(before.substr(line_start))) + 1;
  return refuse({.file = &file, .line = line, .column = column},
                fmt::format("byte 0x{:02x} is not UTF-8", static_cast<unsigned char>(file.text[*bad])));
}

// Parses one file after the other into one result.
class SchemaParser {
 public:
  SchemaParser(Dialect dialect, const FileReader& reader) : dialect_(dialect), reader_(reader) {}

  Checked<Parsed> parse(const std::string& root) {
    auto text = reader_.read(root);
    if (!text) return refuse_root(root, text.error().message());
    const std::string id = identity(root);
    included_.insert(id);
    TRY(parse_file(SourceFile::create(root, with_newlines(*text)), id));
    return std::move(result_);
  }

 private:
  static std::unexpected<Diagnostic> refuse_root(const std::string& root, const std::string& reason) {
    const auto file = SourceFile::create(root, {});
    return refuse({.file = file.get()}, fmt::format("cannot read the schema: {}", reason));
  }

  Checked<> parse_file(std::shared_ptr<SourceFile> file, const std::string& id) {
    result_.files.push_back(file);
    open_.push_back(id);
    TRY(check_utf8(*file));
    Lexer lexer(*file);
    TRY(lexer.advance());
    // The comment that waits for its definition.
    const Doc* doc = nullptr;
    while (!lexer.at(Token::Kind::kEnd)) {
      if (lexer.at(Token::Kind::kComment)) {
        TRY(refuse_lonely(doc));
        result_.docs.push_back(TRY(read_doc(lexer)));
        doc = result_.docs.back().get();
        continue;
      }
      Position at = lexer.line();
      Value value = TRY(read_value(lexer));
      TRY(add(std::move(value), doc, at));
      doc = nullptr;
    }
    open_.pop_back();
    return refuse_lonely(doc);
  }

  static Checked<> refuse_lonely(const Doc* doc) {
    if (doc == nullptr || doc->free_form()) return {};
    return refuse(doc->at, fmt::format("the documentation of '{}' is not followed by its definition", doc->symbol));
  }

  Checked<> add(Value value, const Doc* doc, const Position& at) {
    if (!value.is_object()) return refuse(at, "a schema consists of objects, { ... }; this is none");
    for (const std::string_view directive : {"include", "pragma"}) {
      const Value* argument = value.find(directive);
      if (argument == nullptr) continue;
      TRY(refuse_lonely(doc));
      if (value.object().size() != 1)
        return refuse(at, fmt::format("'{}' is a directive, which has no other keys", directive));
      return directive == "include" ? include(*argument, at) : apply_pragma(result_.pragmas, *argument, dialect_, at);
    }
    if (doc != nullptr && doc->free_form()) {
      return refuse(doc->at, "the documentation of a definition must begin with its name, '@name:'");
    }
    result_.expressions.push_back({.value = std::move(value), .doc = doc, .module = at.file});
    return {};
  }

  Checked<> include(const Value& argument, const Position& at) {
    if (!argument.is_string()) return refuse(at, "the value of 'include' must be a string, a file's name");
    const std::string path = (std::filesystem::path(at.file->path).parent_path() / argument.string()).string();
    const std::string id = identity(path);
    if (std::ranges::find(open_, id) != open_.end()) {
      return refuse(at, fmt::format("including '{}' here is an endless loop", path));
    }
    if (open_.size() > kMaxIncludeDepth) {
      return refuse(at, fmt::format("files include files more than {} levels deep", kMaxIncludeDepth));
    }
    if (!included_.insert(id).second) return {};
    auto text = reader_.read(path);
    if (!text) return refuse(at, fmt::format("cannot read the included file '{}': {}", path, text.error().message()));
    auto file = SourceFile::create(path, with_newlines(*text));
    file->includer = at.file->self.lock();
    file->include_line = at.line;
    return parse_file(std::move(file), id);
  }

  Dialect dialect_;
  const FileReader& reader_;
  Parsed result_;
  // By identity: all files so far, and those that are being parsed, the root first.
  std::set<std::string> included_;
  std::vector<std::string> open_;
};

}  // namespace

Checked<Parsed> parse(const std::string& root, Dialect dialect, const FileReader& reader) {
  return SchemaParser(dialect, reader).parse(root);
}

}  // namespace pagurus::qapi_gen
