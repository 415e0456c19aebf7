#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "ctl/qmp_client.h"
#include "ctl/status.h"
#include "ctl/subcommand.h"

namespace pagurus::ctl {
namespace {

constexpr int64_t kQueryTimeoutMs = 10'000;

struct Options {
  std::string socket;
  bool json = false;
};

Result<void> run(const Options& options) {
  auto client = TRY(QmpClient::connect(options.socket, Patience::of_ms(kQueryTimeoutMs)));
  qapi::Json status = TRY(collect_status(client));
  std::string text = options.json ? status.pretty_text() + "\n" : status_text(status);
  std::fputs(printable(text).c_str(), stdout);
  return {};
}

std::function<int()> declare(CLI::App& app) {
  auto options = std::make_shared<Options>();  // shared: std::function is copied
  add_socket(app, options->socket);
  app.add_flag("--json", options->json, "print JSON");
  return [options] {
    auto result = run(*options);
    return result ? kDone : complain(result.error().message());
  };
}

}  // namespace

Subcommand status_subcommand() { return {"status", "show run state, process, machine and back ends", declare}; }

}  // namespace pagurus::ctl
