#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "ctl/signals.h"
#include "ctl/status.h"
#include "ctl/subcommand.h"
#include "ctl/upgrade.h"

namespace pagurus::ctl {
namespace {

constexpr double kDefaultTimeoutS = 30;

struct Options {
  std::string socket;
  std::string binary;
  double timeout_s = kDefaultTimeoutS;
  bool check = false;
  bool keep_old = false;
  bool json = false;
  bool verbose = false;
};

void print_report(const Options& options, const UpgradeReport& report) {
  std::string text;
  if (options.json) {
    text = report.json().pretty_text() + "\n";
  } else {
    if (options.verbose) text = report.handover.pretty_text() + "\n";
    text += handover_text(report.handover);
  }
  std::fputs(printable(text).c_str(), stdout);
}

void print_report(const Options& options, const CheckReport& report) {
  std::fputs(printable(options.json ? report.json().pretty_text() + "\n" : report.text()).c_str(), stdout);
}

Result<void> run(const Options& options) {
  UniqueFd interrupts = TRY(catch_interrupts());
  int64_t begin_ns = monotonic_ns();
  auto progress = [&](const std::string& line) {
    if (options.json && !options.verbose) return;
    double ms = static_cast<double>(monotonic_ns() - begin_ns) / 1e6;
    std::fprintf(options.json ? stderr : stdout, "%10.1f ms  %s\n", ms, printable(line).c_str());
    std::fflush(stdout);
  };
  using Old = UpgradeOptions::Old;
  Upgrade upgrade({.socket = options.socket,
                   .binary = options.binary,
                   .old = options.keep_old ? Old::kKeep : Old::kEnd,
                   .patience = Patience::of_ms(static_cast<int64_t>(options.timeout_s * 1000), interrupts.get()),
                   .progress = progress});
  if (options.check) {
    print_report(options, TRY(upgrade.check()));
  } else {
    print_report(options, TRY(upgrade.run()));
  }
  return {};
}

std::function<int()> declare(CLI::App& app) {
  auto options = std::make_shared<Options>();  // shared: std::function is copied
  add_socket(app, options->socket);
  app.add_option("--binary", options->binary, "pagurus to start; default: the file the running one came from");
  app.add_option("--timeout", options->timeout_s, "seconds for the whole; default 30")->check(CLI::Range(0.1, 86400.0));
  auto* keep_old = app.add_flag("--keep-old", options->keep_old, "leave the old process in 'postmigrate'");
  app.add_flag("--check", options->check, "only tell whether the new process would take the guest")->excludes(keep_old);
  app.add_flag("--json", options->json, "print the report as JSON; progress to standard error with -v");
  app.add_flag("-v,--verbose", options->verbose, "show more");
  return [options] {
    auto result = run(*options);
    return result ? kDone : complain(result.error().message());
  };
}

}  // namespace

Subcommand upgrade_subcommand() { return {"upgrade", "replace the process under the running guest", declare}; }

}  // namespace pagurus::ctl
