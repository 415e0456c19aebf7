#include "ctl/incoming_arguments.h"

#include <algorithm>
#include <optional>

#include "qapi/options.h"

namespace pagurus::ctl {
namespace {

struct Word {
  std::string name;  // without dashes
  std::optional<std::string> value;
};

Result<std::vector<Word>> parse_words(const std::vector<std::string>& running) {
  std::vector<Word> words;
  for (size_t i = 1; i < running.size(); ++i) {
    const std::string& text = running[i];
    if (!text.starts_with("-")) return fail("the running command line has '{}' where an option is expected", text);
    Word word{text.substr(text.starts_with("--") ? 2 : 1), std::nullopt};
    if (std::ranges::find(options_without_value(), word.name) == options_without_value().end()) {
      if (i + 1 == running.size()) return fail("the running command line ends after '{}'", text);
      word.value = running[++i];
    }
    words.push_back(std::move(word));
  }
  return words;
}

// The value of `key` in "a,key=value,b"; empty if it is not there.
std::string value_of(const std::string& text, std::string_view implied, std::string_view key) {
  auto options = qapi::Options::parse(text, implied, "");
  if (!options) return "";
  auto value = options->take_string(key);
  return value && *value ? **value : "";
}

// A character device whose other end stays with the old process: a terminal, a connected socket.
bool bound_to_process(const Word& chardev) {
  std::string backend = value_of(*chardev.value, "backend", "backend");
  return backend == "stdio" || !value_of(*chardev.value, "backend", "fd").empty();
}

// The ids of the monitors' character devices that must go with their monitor.
std::vector<std::string> departing_monitors(const std::vector<Word>& words) {
  std::vector<std::string> ids;
  for (const Word& mon : words) {
    if (mon.name != "mon") continue;
    std::string id = value_of(*mon.value, "chardev", "chardev");
    for (const Word& chardev : words) {
      if (chardev.name != "chardev" || value_of(*chardev.value, "backend", "id") != id) continue;
      if (bound_to_process(chardev)) ids.push_back(id);
    }
  }
  return ids;
}

bool stays(const Word& word, const std::vector<std::string>& departing) {
  auto departs = [&](const std::string& id) { return std::ranges::find(departing, id) != departing.end(); };
  if (word.name == "incoming" || word.name == "S" || word.name == "daemonize") return false;
  if (word.name == "qmp") return *word.value != "stdio";
  if (word.name == "D") return !word.value->starts_with("fd:");
  if (word.name == "mon") return !departs(value_of(*word.value, "chardev", "chardev"));
  if (word.name == "chardev") return !departs(value_of(*word.value, "backend", "id"));
  return true;
}

}  // namespace

const std::vector<std::string_view>& options_without_value() {
  static const std::vector<std::string_view> names = {
      "S", "no-reboot", "daemonize", "nographic", "nodefaults", "dump-vmstate", "version", "help", "h"};
  return names;
}

Result<std::vector<std::string>> incoming_arguments(const std::vector<std::string>& running,
                                                    const std::string& binary) {
  if (running.empty()) return fail("the running process does not tell its command line");
  std::vector<Word> words = TRY(parse_words(running));
  std::vector<std::string> departing = departing_monitors(words);
  std::erase_if(words, [&](const Word& word) { return !stays(word, departing); });
  bool has_log = std::ranges::find(words, "D", &Word::name) != words.end();

  words.push_back({"chardev", "socket,id=" + std::string(kControlId) + ",fd=" + std::to_string(kControlFd)});
  words.push_back({"mon", "chardev=" + std::string(kControlId) + ",mode=control"});
  if (!has_log) words.push_back({"D", "fd:" + std::to_string(kLogFd)});
  words.push_back({"incoming", "defer"});

  std::vector<std::string> result{binary};
  for (Word& word : words) {
    result.push_back("-" + word.name);
    if (word.value) result.push_back(std::move(*word.value));
  }
  return result;
}

}  // namespace pagurus::ctl
