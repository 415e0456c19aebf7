#include "ctl/shell.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "ctl/arguments.h"
#include "ctl/replies.h"
#include "ctl/requests.h"
#include "ctl/shell_help.h"
#include "ctl/shell_words.h"

namespace pagurus::ctl {

using qapi::Json;

std::string event_text(const Json& event) {
  auto name = string_member(event, "event");
  const Json* time = event.find("timestamp");
  auto seconds = integer_member(time == nullptr ? Json() : *time, "seconds");
  auto microseconds = integer_member(time == nullptr ? Json() : *time, "microseconds");
  std::string text;
  time_t at = seconds ? static_cast<time_t>(*seconds) : 0;
  tm local{};
  if (seconds && microseconds && localtime_r(&at, &local) != nullptr) {
    text = fmt::format("{:%H:%M:%S}.{:03} ", local, *microseconds / 1000 % 1000);
  }
  text += name ? *name : "an event without a name";
  const Json* data = event.find("data");
  return data == nullptr ? text : text + " " + data->text();
}

Shell::Outcome Shell::execute(std::string_view line) {
  ShellWords split = split_words(line);
  if (split.unclosed != '\0') {
    output_.complain(fmt::format("the line ends inside what '{}' begins", split.unclosed));
    return Outcome::kFailed;
  }
  std::span<const std::string> words = split.words;
  if (words.empty() || words[0].starts_with('#')) return Outcome::kDone;
  if (words[0] == "quit" || words[0] == "exit") return Outcome::kLeave;
  if (words[0] == "help") return help(words.subspan(1));
  auto band = words[0] == "oob" ? QmpRequest::Band::kOut : QmpRequest::Band::kIn;
  if (words[0] == "execute" || words[0] == "oob") words = words.subspan(1);
  if (!words.empty()) return execute_command(words, band);
  output_.complain(fmt::format("'{}' needs the name of a command", split.words[0]));
  return Outcome::kFailed;
}

Shell::Outcome Shell::help(std::span<const std::string> words) {
  const Introspection* known = connection_.introspection();
  output_.show(words.empty() ? overview_text(known, output_.width()) : command_help(known, words[0]));
  return Outcome::kDone;
}

Shell::Outcome Shell::execute_command(std::span<const std::string> words, QmpRequest::Band band) {
  auto written = parse_arguments(words.subspan(1));
  auto arguments = written ? typed_arguments(connection_.introspection(), words[0], *written)
                           : std::unexpected(std::move(written).error());
  if (!arguments) {
    output_.complain(arguments.error().message());
    return Outcome::kFailed;
  }
  auto answer = connection_.ask({.command = words[0], .arguments = std::move(*arguments), .band = band});
  if (!answer) {
    if (connection_.client().closed())
      reconnect(Error(fmt::format("{}; whether '{}' was executed is not known", answer.error().message(), words[0])));
    else
      output_.complain(answer.error().message());
    return Outcome::kFailed;
  }
  if (!*answer) {
    output_.complain(refusal_text(words[0], answer->error(), connection_.introspection()));
    return Outcome::kFailed;
  }
  ending_ = ending_ || words[0] == "quit";
  output_.show((*answer)->pretty_text() + "\n");
  return Outcome::kDone;
}

bool Shell::receive_events() {
  if (lost_) return false;
  auto result = connection_.client().receive_events();
  if (!result && connection_.client().closed()) {
    reconnect(result.error());
  } else if (!result) {
    output_.complain(result.error().message());
  }
  return !lost_;
}

void Shell::reconnect(const Error& error) {
  if (ending_) {
    output_.complain("the process has ended");
    lost_ = true;
    return;
  }
  output_.complain(error.message());
  if (auto result = connection_.reopen(); !result) {
    output_.complain(result.error().message());
    lost_ = true;
    return;
  }
  output_.complain(fmt::format("connected again: {}", connection_.server()));
}

}  // namespace pagurus::ctl
