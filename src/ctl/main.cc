// pagurusctl: looks at a running guest's process, and replaces it.
#include <sys/signalfd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "ctl/qmp_client.h"
#include "ctl/status.h"
#include "ctl/upgrade.h"
#include "qapi/json_reader.h"

namespace pagurus::ctl {
namespace {

using qapi::Json;

constexpr double kDefaultTimeoutS = 30;
constexpr int64_t kQueryTimeoutMs = 10'000;

struct Arguments {
  std::string socket;
  bool json = false;
  bool verbose = false;
  bool keep_old = false;
  std::string binary;
  double timeout_s = kDefaultTimeoutS;
  std::string command;
  std::string command_arguments;
};

// Ctrl-C and its relatives become a readable descriptor, so that every wait can end early and the
// roll-back is never cut short.
Result<UniqueFd> catch_interrupts() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  UniqueFd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno(errno, "cannot watch signals");
  return fd;
}

Result<void> show_status(const Arguments& arguments) {
  auto client = TRY(QmpClient::connect(arguments.socket, Patience::of_ms(kQueryTimeoutMs)));
  Json status = TRY(collect_status(client));
  std::string text = arguments.json ? status.pretty_text() + "\n" : status_text(status);
  std::fputs(text.c_str(), stdout);
  return {};
}

Result<void> run_command(const Arguments& arguments) {
  Json values;
  if (!arguments.command_arguments.empty()) values = TRY(qapi::parse_json(arguments.command_arguments));
  if (!values.is_null() && !values.is_object()) return fail("the command's arguments must be a JSON object");
  auto client = TRY(QmpClient::connect(arguments.socket, Patience::of_ms(kQueryTimeoutMs)));
  Json result = TRY(client.execute(arguments.command, std::move(values)));
  std::fputs((result.pretty_text() + "\n").c_str(), stdout);
  return {};
}

Result<void> upgrade(const Arguments& arguments) {
  UniqueFd interrupts = TRY(catch_interrupts());
  int64_t begin_ns = monotonic_ns();
  auto progress = [&](const std::string& line) {
    if (arguments.json && !arguments.verbose) return;
    double ms = static_cast<double>(monotonic_ns() - begin_ns) / 1e6;
    std::fprintf(arguments.json ? stderr : stdout, "%10.1f ms  %s\n", ms, line.c_str());
    std::fflush(stdout);
  };
  using Old = UpgradeOptions::Old;
  Upgrade upgrade({.socket = arguments.socket,
                   .binary = arguments.binary,
                   .old = arguments.keep_old ? Old::kKeep : Old::kEnd,
                   .patience = Patience::of_ms(static_cast<int64_t>(arguments.timeout_s * 1000), interrupts.get()),
                   .progress = progress});
  UpgradeReport report = TRY(upgrade.run());
  if (arguments.json) {
    std::fputs((report.json().pretty_text() + "\n").c_str(), stdout);
    return {};
  }
  if (arguments.verbose) std::fputs((report.handover.pretty_text() + "\n").c_str(), stdout);
  std::fputs(handover_text(report.handover).c_str(), stdout);
  return {};
}

void add_socket(CLI::App* command, Arguments& arguments) {
  command->add_option("SOCKET", arguments.socket, "QMP socket of the guest's process")->required();
}

int main_with(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Looks at the process of a running guest, and replaces it.", "pagurusctl");
  app.set_version_flag("--version", "pagurusctl " PAGURUS_VERSION);
  app.require_subcommand(1);

  CLI::App* status = app.add_subcommand("status", "show run state, process, machine and back ends");
  add_socket(status, arguments);
  status->add_flag("--json", arguments.json, "print JSON");

  CLI::App* up = app.add_subcommand("upgrade", "replace the process under the running guest");
  add_socket(up, arguments);
  up->add_option("--binary", arguments.binary, "pagurus to start; default: the file the running one came from");
  up->add_option("--timeout", arguments.timeout_s, "seconds for the whole; default 30")
      ->check(CLI::Range(0.1, 86400.0));
  up->add_flag("--keep-old", arguments.keep_old, "leave the old process in 'postmigrate'");
  up->add_flag("--json", arguments.json, "print the report as JSON; progress to standard error with -v");
  up->add_flag("-v,--verbose", arguments.verbose, "show more");

  CLI::App* qmp = app.add_subcommand("qmp", "execute one QMP command");
  add_socket(qmp, arguments);
  qmp->add_option("COMMAND", arguments.command, "name of the command")->required();
  qmp->add_option("ARGUMENTS", arguments.command_arguments, "its arguments, a JSON object");

  CLI11_PARSE(app, argc, argv);
  auto result = status->parsed() ? show_status(arguments) : up->parsed() ? upgrade(arguments) : run_command(arguments);
  if (result) return 0;
  std::fprintf(stderr, "pagurusctl: %s\n", result.error().message().c_str());
  return 1;
}

}  // namespace
}  // namespace pagurus::ctl

int main(int argc, char** argv) { return pagurus::ctl::main_with(argc, argv); }
