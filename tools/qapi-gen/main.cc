// qapi-gen: checks a schema in QEMU's QAPI language, and makes C++, introspection and documents of it.
#include <fmt/format.h>

#include <array>
#include <cstdio>

#include "emit_cpp.h"
#include "emit_docs.h"
#include "emit_introspect.h"
#include "emit_keyval.h"
#include "options.h"
#include "output_writer.h"
#include "schema.h"
#include "strict.h"

namespace pagurus::qapi_gen {
namespace {

struct Emitter {
  std::string_view name;
  std::string_view what;
  Checked<std::vector<OutputFile>> (*emit)(const Schema& schema);
};

constexpr std::array kEmitters = {
    Emitter{"cpp", "types, visitors, commands and events in C++", emit_cpp},
    Emitter{"docs", "the reference as Markdown and a man page", emit_docs},
    Emitter{"introspect", "what query-qmp-schema answers, in C++", emit_introspect},
    Emitter{"keyval", "the command line's options in C++", emit_keyval},
};

std::string rules_text() {
  std::string text = "\nRules of --strict, by the names that pragma 'strict-exceptions' knows:\n";
  for (const StrictRule& rule : strict_rules()) text += fmt::format("  {:<18} {}\n", rule.name, rule.demand);
  return text;
}

std::string emitters_text() {
  std::string text;
  for (const Emitter& emitter : kEmitters) text += fmt::format("  {:<15}  {}\n", emitter.name, emitter.what);
  return text;
}

Result<const Emitter*> find_emitter(const std::string& name) {
  for (const Emitter& emitter : kEmitters) {
    if (emitter.name == name) return &emitter;
  }
  return fail("--emit '{}' is not known; --help lists what is", name);
}

Error error_of(const Diagnostic& diagnostic) { return Error(diagnostic.text()); }

// Of the language's mistakes only the first is known, of the strict rules' all are.
Result<void> check_file(const Options& options, const std::string& file) {
  const auto schema = load_schema(file, options.dialect);
  if (!schema) return std::unexpected(error_of(schema.error()));
  if (options.dialect != Dialect::kStrict) return {};
  std::string text;
  for (const Diagnostic& finding : strict_check(**schema, options.project_version)) {
    text += (text.empty() ? "" : "\n") + finding.text();
  }
  if (!text.empty()) return std::unexpected(Error(std::move(text)));
  return {};
}

Result<void> check(const Options& options) {
  for (const std::string& file : options.files) TRY(check_file(options, file));
  return {};
}

Result<void> emit(const Options& options) {
  const Emitter* emitter = TRY(find_emitter(options.emitter));
  const auto schema = load_schema(options.files.front(), options.dialect);
  if (!schema) return std::unexpected(error_of(schema.error()));
  const auto written = emitter->emit(**schema);
  if (!written) return std::unexpected(error_of(written.error()));
  TRY(write_files(options.directory, *written));
  if (options.depfile.empty()) return {};
  return write_files({}, {{options.depfile, depfile_text(options.directory, *written, (*schema)->parsed)}});
}

Result<void> run(const Options& options) {
  switch (options.action) {
    case Options::Action::kHelp: fmt::print("{}{}{}", help_text(), emitters_text(), rules_text()); return {};
    case Options::Action::kVersion: fmt::print("qapi-gen {}\n", PAGURUS_VERSION); return {};
    case Options::Action::kCheck: return check(options);
    case Options::Action::kEmit: return emit(options);
  }
  return {};
}

}  // namespace
}  // namespace pagurus::qapi_gen

int main(int argc, char** argv) {
  using namespace pagurus::qapi_gen;
  const auto options = parse_options({argv + 1, argv + argc}, PAGURUS_VERSION);
  if (!options) {
    std::fprintf(stderr, "qapi-gen: %s\n", options.error().message().c_str());
    return 1;
  }
  const auto done = run(*options);
  if (done) return 0;
  std::fprintf(stderr, "%s\n", done.error().message().c_str());
  return 1;
}
