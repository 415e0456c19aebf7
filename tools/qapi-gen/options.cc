#include "options.h"

namespace pagurus::qapi_gen {
namespace {

using Action = Options::Action;

// Reads one word after the other.
class OptionReader {
 public:
  OptionReader(const std::vector<std::string>& words, std::string_view program_version)
      : words_(words), version_(program_version) {}

  Result<Options> read() {
    while (next_ < words_.size()) TRY(read_word(words_[next_++]));
    options_.project_version = TRY(read_version());
    if (options_.action == Action::kHelp || options_.action == Action::kVersion) return options_;
    if (options_.action == Action::kEmit) {
      TRY(check_emit());
    } else if (!options_.directory.empty() || !options_.depfile.empty()) {
      return fail("--output and --depfile are only for --emit");
    } else if (!check_) {
      return fail("--check or --emit is required; --help explains them");
    }
    if (options_.files.empty()) return fail("the schema's file is required");
    return options_;
  }

 private:
  Result<> read_word(const std::string& word) {
    if (words_end_ || !word.starts_with('-') || word == "-") {
      options_.files.push_back(word);
      return {};
    }
    if (word == "--") {
      words_end_ = true;
    } else if (word == "--help" || word == "-h") {
      options_.action = Action::kHelp;
    } else if (word == "--version") {
      options_.action = Action::kVersion;
    } else if (word == "--check") {
      check_ = true;
    } else if (word == "--strict") {
      options_.dialect = Dialect::kStrict;
    } else if (word == "--no-strict") {
      options_.dialect = Dialect::kQemu;
    } else {
      return read_argument(word);
    }
    return {};
  }

  // "--output DIR" or "--output=DIR".
  Result<> read_argument(const std::string& word) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    std::string* target = name == "--emit"              ? &options_.emitter
                          : name == "--output"          ? &options_.directory
                          : name == "--depfile"         ? &options_.depfile
                          : name == "--project-version" ? &version_
                                                        : nullptr;
    if (target == nullptr) return fail("unknown option '{}'; --help lists all", word);
    if (equals == std::string::npos && next_ == words_.size()) return fail("option '{}' requires an argument", name);
    *target = equals == std::string::npos ? words_[next_++] : word.substr(equals + 1);
    if (target->empty()) return fail("the argument of option '{}' is empty", name);
    if (name == "--emit" && options_.action == Action::kCheck) options_.action = Action::kEmit;
    return {};
  }

  // "1.1" of "1.1.0".
  Result<SinceVersion> read_version() const {
    const std::string minor = version_.substr(0, version_.find('.', version_.find('.') + 1));
    const auto version = SinceVersion::parse(minor);
    if (!version) return fail("--project-version '{}' is no version such as 1.1", version_);
    return *version;
  }

  Result<> check_emit() const {
    if (check_) return fail("--check writes nothing; it cannot be combined with --emit");
    if (options_.directory.empty()) return fail("--emit requires --output DIR");
    if (options_.files.size() > 1) return fail("--emit takes one file; the others are included from it");
    return {};
  }

  const std::vector<std::string>& words_;
  std::string version_;
  size_t next_ = 0;
  bool check_ = false;
  bool words_end_ = false;
  Options options_;
};

}  // namespace

Result<Options> parse_options(const std::vector<std::string>& words, std::string_view program_version) {
  return OptionReader(words, program_version).read();
}

std::string_view help_text() {
  return "Usage: qapi-gen --check [--strict|--no-strict] FILE...\n"
         "       qapi-gen --emit KIND --output DIR [--depfile FILE] [--strict|--no-strict] FILE\n"
         "\n"
         "Checks schemas in QEMU's QAPI language, or makes something of one.\n"
         "\n"
         "  --check          only check: nothing on success, else what is wrong and status 1\n"
         "  --emit KIND      write what KIND says; see below\n"
         "  --output DIR     where to; files that do not change are not touched\n"
         "  --depfile FILE   also write what was read, for make and ninja\n"
         "  --strict         the project's rules, too (default)\n"
         "  --no-strict      the language's rules alone\n"
         "  --project-version X.Y\n"
         "                   nothing in the schema can be newer; this program's version by default\n"
         "  --version        print the version\n"
         "  --help           print this\n"
         "\n"
         "KIND is one of:\n";
}

}  // namespace pagurus::qapi_gen
