#include "ctl/incoming_arguments.h"

#include <algorithm>
#include <optional>

#include "qapi/keyval.h"
#include "schema/char.h"
#include "schema/control.h"
#include "schema/options.h"

namespace pagurus::ctl {
namespace {

struct Word {
  std::string name;  // without dashes
  std::optional<std::string> value;
};

bool takes_value(std::string_view name) {
  auto options = schema::option_table();
  auto found = std::ranges::find(options, name, &schema::OptionInfo::name);
  return found == options.end() || found->value != schema::OptionInfo::Value::kFlag;
}

Result<std::vector<Word>> parse_words(const std::vector<std::string>& running) {
  std::vector<Word> words;
  for (size_t i = 1; i < running.size(); ++i) {
    const std::string& text = running[i];
    if (!text.starts_with("-")) return fail("the running command line has '{}' where an option is expected", text);
    Word word{text.substr(text.starts_with("--") ? 2 : 1), std::nullopt};
    if (takes_value(word.name)) {
      if (i + 1 == running.size()) return fail("the running command line ends after '{}'", text);
      word.value = running[++i];
    }
    words.push_back(std::move(word));
  }
  return words;
}

// The running process took these values, so one that cannot be read is of an option this version does not know.
std::optional<schema::ChardevOptions> chardev_of(const Word& word) {
  if (word.name != "chardev") return std::nullopt;
  auto options = qapi::from_keyval<schema::ChardevOptions>(*word.value);
  return options ? std::optional(*std::move(options)) : std::nullopt;
}

std::string monitored_by(const Word& word) {
  if (word.name != "mon") return "";
  auto options = qapi::from_keyval<schema::MonitorOptions>(*word.value);
  return options ? options->chardev : "";
}

// A character device whose other end stays with the old process: a terminal, a connected socket.
bool bound_to_process(const schema::ChardevOptions& chardev) {
  if (chardev.backend() == schema::ChardevBackendKind::kStdio) return true;
  return chardev.as_fd() != nullptr || (chardev.as_socket() != nullptr && chardev.as_socket()->fd);
}

// The ids of the monitors' character devices that must go with their monitor.
std::vector<std::string> departing_monitors(const std::vector<Word>& words) {
  std::vector<std::string> ids;
  for (const Word& mon : words) {
    std::string id = monitored_by(mon);
    for (const Word& word : words) {
      auto chardev = chardev_of(word);
      if (chardev && chardev->id == id && bound_to_process(*chardev)) ids.push_back(id);
    }
  }
  return ids;
}

bool stays(const Word& word, const std::vector<std::string>& departing) {
  auto departs = [&](const std::string& id) { return std::ranges::find(departing, id) != departing.end(); };
  if (word.name == "incoming" || word.name == "S" || word.name == "daemonize") return false;
  if (word.name == "qmp") return *word.value != "stdio";
  if (word.name == "D") return !word.value->starts_with("fd:");
  if (auto chardev = chardev_of(word)) return !departs(chardev->id);
  return !departs(monitored_by(word));
}

bool of_network(const Word& word) {
  if (word.name != "device") return word.name == "netdev";
  auto options = qapi::from_keyval<schema::DeviceOptions>(*word.value);
  return options && options->driver() == schema::DeviceDriver::kVirtioNetPci;
}

void replace_network(std::vector<Word>& words, const NetworkWords& network) {
  std::erase_if(words, of_network);
  for (const std::string& netdev : network.netdevs) words.push_back({"netdev", netdev});
  for (const std::string& device : network.devices) words.push_back({"device", device});
}

}  // namespace

Result<std::vector<std::string>> incoming_arguments(const std::vector<std::string>& running, const std::string& binary,
                                                    const std::optional<NetworkWords>& network) {
  if (running.empty()) return fail("the running process does not tell its command line");
  std::vector<Word> words = TRY(parse_words(running));
  std::vector<std::string> departing = departing_monitors(words);
  std::erase_if(words, [&](const Word& word) { return !stays(word, departing); });
  if (network) replace_network(words, *network);
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
