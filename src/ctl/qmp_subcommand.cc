// `pagurusctl qmp`: one command, its answer, and the events that are waited for.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "ctl/arguments.h"
#include "ctl/qmp_client.h"
#include "ctl/requests.h"
#include "ctl/subcommand.h"

namespace pagurus::ctl {
namespace {

using qapi::Json;

constexpr double kDefaultTimeoutS = 10;

struct Options {
  std::string socket;
  std::string command;
  std::vector<std::string> words;
  double timeout_s = kDefaultTimeoutS;
  bool oob = false;
  std::string event;  // waited for; empty: any
  unsigned events = 0;
};

void print(const Json& value) {
  std::fputs(printable(value.pretty_text() + "\n").c_str(), stdout);
  std::fflush(stdout);
}

Result<void> print_events(QmpClient& client, const Options& options) {
  unsigned wanted = options.event.empty() ? options.events : std::max(options.events, 1U);
  while (wanted > 0) {
    auto event = TRY(client.next_event(client.patience().remaining_ms()));
    if (!event && options.event.empty()) return fail("{} of the events did not come in time", wanted);
    if (!event) return fail("the event '{}' did not come in time", options.event);
    if (!options.event.empty() && *event->find("event") != Json(options.event)) continue;
    print(*event);
    --wanted;
  }
  return {};
}

Result<int> run(const Options& options, const WrittenArguments& written) {
  using Bands = QmpClient::Bands;
  auto patience = Patience::of_ms(static_cast<int64_t>(options.timeout_s * 1000));
  auto client = TRY(QmpClient::connect(options.socket, patience, options.oob ? Bands::kOutOfBand : Bands::kInBand));
  std::optional<Introspection> known;
  bool typeless = written.form == WrittenArguments::Form::kJson || written.tree.is_null();
  if (!typeless) known = TRY(introspect(client));
  auto arguments = typed_arguments(known ? &*known : nullptr, options.command, written);
  if (!arguments) return complain(arguments.error().message(), kUsage);
  auto answer = TRY(client.ask({.command = options.command,
                                .arguments = std::move(*arguments),
                                .band = options.oob ? QmpRequest::Band::kOut : QmpRequest::Band::kIn}));
  if (!answer) {
    if (!known) known = TRY(introspect(client));
    return complain(refusal_text(options.command, answer.error(), known ? &*known : nullptr));
  }
  print(*answer);
  TRY(print_events(client, options));
  return kDone;
}

std::function<int()> declare(CLI::App& app) {
  auto options = std::make_shared<Options>();  // shared: std::function is copied
  add_socket(app, options->socket);
  app.add_option("COMMAND", options->command, "name of the command")->required();
  app.add_option("ARGUMENTS", options->words, "its arguments: name=value ..., or one JSON object");
  app.add_option("--timeout", options->timeout_s, "seconds for the whole; default 10")->check(CLI::Range(0.1, 86400.0));
  app.add_flag("--oob", options->oob, "execute it out of band, before others that wait");
  app.add_option("--wait", options->event, "then wait for this event, and print it");
  app.add_option("--events", options->events, "then wait for so many events, and print them")
      ->check(CLI::Range(1, 1000000));
  app.footer(
      "Nested arguments: a.b=x is member b of object a, list.0=x the first element of a list.\n"
      "Integers take K, M, G for powers of 1024; booleans are on and off.\n"
      "  pagurusctl qmp /run/a.qmp set_link name=n0 up=off\n"
      "  pagurusctl qmp /run/a.qmp system_powerdown --wait SHUTDOWN --timeout 60");
  return [options] {
    auto written = parse_arguments(options->words);
    if (!written) return complain(written.error().message(), kUsage);
    auto status = run(*options, *written);
    return status ? *status : complain(status.error().message());
  };
}

}  // namespace

Subcommand qmp_subcommand() { return {"qmp", "execute one QMP command", declare}; }

}  // namespace pagurus::ctl
