// Command line of udp-probe.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

namespace pagurus::udp_probe {

struct Options {
  std::string host;
  uint16_t port = 7;
  std::string bind_address;    // empty: chosen by the kernel
  double rate = 1000;          // packets per second
  double duration_s = 0;       // 0: until a signal comes
  uint64_t count = 0;          // 0: no limit
  unsigned size = 64;          // UDP payload bytes
  double drain_s = 0.5;        // without an echo, at the end; in a search, the most that one takes
  double find_max = 0;         // not 0: search for the highest loss-free rate up to this
  double step_s = 2;           // time for one rate of the search
  double report_every_s = 0;   // not 0: a line of progress on stderr
  bool json = false;
  bool help = false;
};

// The error is a sentence for the user.
std::expected<Options, std::string> parse_options(int argc, char** argv);

extern const char kHelp[];

}  // namespace pagurus::udp_probe
