#include "source.h"

#include <fmt/format.h>

namespace pagurus::qapi_gen {
namespace {

std::string include_chain(const SourceFile* file) {
  std::string chain;
  for (; file != nullptr && file->includer != nullptr; file = file->includer.get()) {
    chain.insert(0, fmt::format("In file included from {}:{}:\n", file->includer->path, file->include_line));
  }
  return chain;
}

}  // namespace

std::shared_ptr<SourceFile> SourceFile::create(std::string path, std::string text) {
  auto file = std::make_shared<SourceFile>();
  file->path = std::move(path);
  file->text = std::move(text);
  file->self = file;
  return file;
}

std::string Diagnostic::text() const {
  if (at.file == nullptr) return message;
  std::string where = at.line > 0 ? fmt::format("{}:{}", at.file->path, at.line) : at.file->path;
  std::string result = include_chain(at.file);
  if (!context.empty()) result += fmt::format("{}: In {}:\n", where, context);
  result += where;
  if (at.column > 0) result += fmt::format(":{}", at.column);
  result += ": " + message;
  if (!rule.empty()) result += fmt::format(" [{}]", rule);
  return result;
}

}  // namespace pagurus::qapi_gen
