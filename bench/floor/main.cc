// floor: how short a hand-over can be on this KVM, without any VMM.

#include <cstdio>

#include "report.h"

namespace {

using namespace pagurus;

Result<void> run(int argc, char** argv) {
  auto options = TRY(floor::parse_options(argc, argv));
  if (options.help) {
    std::fputs(floor::kHelp, stdout);
    return {};
  }
  std::vector<floor::Times> rounds;
  while (rounds.size() < options.count) rounds.push_back(TRY(floor::run_round(options)));
  auto text = options.json ? floor::json_report(options, rounds) : floor::text_report(options, rounds);
  std::fputs(text.c_str(), stdout);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  auto done = run(argc, argv);
  if (done) return 0;
  std::fprintf(stderr, "floor: %s\n", done.error().message().c_str());
  return 1;
}
