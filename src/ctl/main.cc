// pagurusctl: looks at a running guest's process, talks to it, and replaces it.
#include <CLI/CLI.hpp>
#include <vector>

#include "ctl/subcommand.h"

namespace pagurus::ctl {
namespace {

constexpr Subcommand (*kSubcommands[])() = {status_subcommand,  upgrade_subcommand, timeline_subcommand,
                                            analyze_subcommand, qmp_subcommand,     shell_subcommand};

int main_with(int argc, char** argv) {
  CLI::App app("Looks at the process of a running guest, talks to it, and replaces it.", "pagurusctl");
  app.set_version_flag("--version", "pagurusctl " PAGURUS_VERSION);
  app.require_subcommand(1);
  struct Declared {
    CLI::App* app;
    std::function<int()> run;
  };
  std::vector<Declared> declared;
  for (auto* make : kSubcommands) {
    Subcommand subcommand = make();
    CLI::App* own = app.add_subcommand(subcommand.name, subcommand.description);
    declared.push_back({own, subcommand.declare(*own)});
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  for (const Declared& one : declared) {
    if (one.app->parsed()) return one.run();
  }
  return kUsage;
}

}  // namespace
}  // namespace pagurus::ctl

int main(int argc, char** argv) { return pagurus::ctl::main_with(argc, argv); }
