// From files to expressions and documentation comments: lexical rules, syntax, includes and pragmas.
// What the expressions mean is expressions.h's and schema.h's business.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "doc.h"
#include "file_reader.h"
#include "source.h"
#include "value.h"

namespace pagurus::qapi_gen {

// What `pragma` directives said; they hold for the whole schema.
struct Pragmas {
  bool doc_required = false;
  std::set<std::string> command_name_exceptions;
  std::set<std::string> command_returns_exceptions;
  std::set<std::string> documentation_exceptions;
  std::set<std::string> member_name_exceptions;
  // Ours, `{ 'pragma': { 'strict-exceptions': { 'Definition': [ 'rule', ... ] } } }`: strict rules that
  // are switched off, by definition.  Refused with `--no-strict`, where the language has no such pragma.
  std::map<std::string, std::set<std::string>> strict_exceptions;
};

struct Expression {
  Value value;               // an object
  const Doc* doc = nullptr;  // the comment just before it, if any
  const SourceFile* module = nullptr;
};

struct Parsed {
  std::vector<std::shared_ptr<SourceFile>> files;  // in the order of inclusion, the root first
  std::vector<std::unique_ptr<Doc>> docs;          // all, in order; free-form ones included
  std::vector<Expression> expressions;             // in order, includes expanded; no pragmas
  Pragmas pragmas;
};

enum class Dialect { kQemu, kStrict };  // kStrict: our pragmas, too

// Values in values, and files in files, so that no input can exhaust the stack.
constexpr int kMaxValueDepth = 500;
constexpr size_t kMaxIncludeDepth = 400;

// Includes are relative to the including file; a file that was included already is skipped.
Checked<Parsed> parse(const std::string& root, Dialect dialect, const FileReader& reader = DiskReader());

}  // namespace pagurus::qapi_gen
