#include "ctl/timeline.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "ctl/qmp_client.h"
#include "ctl/subcommand.h"

namespace pagurus::ctl {
namespace {

constexpr int64_t kQueryTimeoutMs = 10'000;

struct Options {
  std::string socket;
  std::string chrome;
};

Result<void> write_file(const std::string& path, const std::string& text) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "we"), std::fclose);
  if (!file) return fail_errno(errno, "cannot write '{}'", path);
  bool written = std::fputs(text.c_str(), file.get()) >= 0;
  if (std::fclose(file.release()) != 0 || !written) return fail_errno(errno, "cannot write '{}'", path);
  return {};
}

Result<void> run(const Options& options) {
  auto client = TRY(QmpClient::connect(options.socket, Patience::of_ms(kQueryTimeoutMs)));
  qapi::Json info = TRY(client.execute("query-migrate"));
  std::string text = TRY(timeline_text(info));
  qapi::Json trace = TRY(chrome_trace(info));
  if (!options.chrome.empty()) TRY(write_file(options.chrome, trace.pretty_text() + "\n"));
  std::fputs(printable(text).c_str(), stdout);
  return {};
}

std::function<int()> declare(CLI::App& app) {
  auto options = std::make_shared<Options>();  // shared: std::function is copied
  add_socket(app, options->socket);
  app.add_option("--chrome", options->chrome, "also write it to FILE, for Chrome's about:tracing and for Perfetto")
      ->type_name("FILE");
  return [options] {
    auto result = run(*options);
    return result ? kDone : complain(result.error().message());
  };
}

}  // namespace

Subcommand timeline_subcommand() { return {"timeline", "show the phases of the last migration", declare}; }

}  // namespace pagurus::ctl
