#include <fcntl.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <memory>

#include "ctl/analyze/live_stream.h"
#include "ctl/analyze/onlooker.h"
#include "ctl/analyze/stream_printer.h"
#include "ctl/signals.h"
#include "ctl/subcommand.h"

namespace pagurus::ctl {
namespace {

constexpr double kDefaultTimeoutS = 30;
constexpr std::string_view kUnixScheme = "unix:";

struct Options {
  std::string stream;
  double timeout_s = kDefaultTimeoutS;
  bool ram = false;
};

Result<void> analyze_file(const std::string& path, StreamPrinter& printer, int interrupt_fd) {
  UniqueFd file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!file) return fail_errno(errno, "cannot open it");
  struct stat info {};
  if (fstat(file.get(), &info) < 0 || !S_ISREG(info.st_mode)) return fail("it is neither a file nor a socket");
  auto reader = TRY(FrameReader::create(std::move(file), Patience::endless(interrupt_fd)));
  return print_stream(reader, printer);
}

Result<void> analyze_arriving(const std::string& path, StreamPrinter& printer, int interrupt_fd) {
  auto onlooker = TRY(Onlooker::listen(path));
  complain("waiting for a migration to 'unix:" + path + "'");
  return onlooker.watch(printer, Patience::endless(interrupt_fd));
}

Result<void> run(const Options& options) {
  UniqueFd interrupts = TRY(catch_interrupts());
  using enum MessageAnalyzer::RamRuns;
  StreamPrinter printer(options.ram ? kList : kCount);
  std::string_view name = options.stream;
  if (name.starts_with(kUnixScheme)) {
    return analyze_arriving(std::string(name.substr(kUnixScheme.size())), printer, interrupts.get());
  }
  struct stat info {};
  if (stat(options.stream.c_str(), &info) < 0 && errno == ENOENT) {
    return analyze_arriving(options.stream, printer, interrupts.get());
  }
  if (!S_ISSOCK(info.st_mode)) {
    TRY_DOING(options.stream, analyze_file(options.stream, printer, interrupts.get()));
    return {};
  }
  auto patience = Patience::of_ms(static_cast<int64_t>(options.timeout_s * 1000), interrupts.get());
  auto live = TRY(LiveStream::of(options.stream, patience));
  return live.print(printer);
}

std::function<int()> declare(CLI::App& app) {
  auto options = std::make_shared<Options>();  // shared: std::function is copied
  app.add_option("FILE|SOCKET", options->stream,
                 "file with a migration, QMP socket of the guest's process, or path at which to wait for a source")
      ->required();
  app.add_flag("--ram", options->ram, "list the runs of RAM pages");
  app.add_option("--timeout", options->timeout_s, "seconds for the stream of a running guest; default 30")
      ->check(CLI::Range(0.1, 86400.0));
  return [options] {
    auto result = run(*options);
    return result ? kDone : complain(result.error().message());
  };
}

}  // namespace

Subcommand analyze_subcommand() { return {"analyze", "print a migration stream as JSON", declare}; }

}  // namespace pagurus::ctl
