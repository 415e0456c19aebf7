// udp-probe: measures what a stream of UDP packets experiences on its way to an echo server and back.

#include <csignal>
#include <cstdio>

#include "options.h"
#include "report.h"
#include "search.h"
#include "session.h"

namespace {

std::atomic<bool> stop = false;

void on_signal(int) { stop = true; }

void catch_signals() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int fail(const std::string& message) {
  std::fprintf(stderr, "udp-probe: %s\n", message.c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace pagurus::udp_probe;
  const auto options = parse_options(argc, argv);
  if (!options) return fail(options.error());
  if (options->help) {
    std::fputs(kHelp, stdout);
    return 0;
  }
  catch_signals();
  if (options->find_max > 0) {
    const auto result = find_highest_rate(*options, stop);
    if (!result) return fail(result.error());
    std::fputs((options->json ? json_report(*result) : text_report(*result)).c_str(), stdout);
    return result->rate > 0 ? 0 : 1;
  }
  const auto outcome = run_session(*options, stop);
  if (!outcome) return fail(outcome.error());
  std::fputs((options->json ? json_report(*options, *outcome) : text_report(*options, *outcome)).c_str(), stdout);
  return outcome->sent != 0 && outcome->lost() == 0 ? 0 : 1;
}
