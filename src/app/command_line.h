// From argv to what to do.  The options are the members of the schema's CommandLineOptions, with QEMU's
// words; what is not supported is refused with a sentence, and nothing is silently ignored.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "machine/config.h"
#include "monitor/monitor.h"

namespace pagurus::app {

// Where log messages go once the machine is up.
struct LogTarget {
  std::string path;  // empty: `fd`, or standard error if that is -1 too
  int fd = -1;
};

struct Invocation {
  // Not empty: print it to standard output and exit with 0; nothing else counts then.
  std::string print;

  machine::Config config;
  std::vector<monitor::Endpoint> endpoints;
  // -incoming unix:PATH; without a value with `-incoming defer`.  config.incoming says whether.
  std::optional<std::string> incoming_uri;
  bool start_paused = false;  // -S
  bool daemonize = false;
  std::string pidfile;
  LogTarget log;
  bool log_timestamps = false;
};

// arguments: without the program's name.
Result<Invocation> parse_command_line(const std::vector<std::string>& arguments);

// The text of --help.
std::string help_text();

}  // namespace pagurus::app
