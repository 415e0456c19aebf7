// Option parsing by getopt_long.

#include "options.h"

#include <getopt.h>

#include <cerrno>
#include <cstdlib>
#include <optional>

namespace pagurus::udp_probe {

const char kHelp[] =
    R"(usage: udp-probe [options] HOST [PORT]

Sends UDP packets with sequence numbers at a steady rate to an echo server (default port 7) and accounts for
every reply: lost, duplicated, reordered, latency, and the longest time without any reply.

  -r, --rate N          packets per second (default 1000)
  -d, --duration S      stop after S seconds (default: run until SIGINT or SIGTERM)
  -c, --count N         stop after N packets
  -s, --size BYTES      UDP payload, 32 to 1472 (default 64)
      --drain S         at the end, wait until no reply has come for S seconds (default 0.5)
      --bind ADDRESS    local address to send from
      --find-max MAX    search for the highest rate up to MAX packets per second that loses nothing and has
                        every reply within the drain time: a queue that grows is not a rate
      --step S          time spent on each rate of that search (default 2)
      --progress S      print a line to stderr every S seconds
  -j, --json            print the report as one JSON object
  -h, --help            this text

SIGINT and SIGTERM end the sending; the report is printed all the same.
Exit status: 0 nothing was lost, 1 something was lost or no reply came, 2 usage or system error.
)";

namespace {

enum LongOnly { kDrain = 256, kBind, kFindMax, kStep, kProgress };

std::optional<double> parse_positive(const char* text) {
  char* end = nullptr;
  errno = 0;
  const double value = std::strtod(text, &end);
  if (errno != 0 || end == text || *end != '\0' || !(value > 0) || value > 1e12) return std::nullopt;
  return value;
}

// Where the number of an option goes; nullptr if the option takes none.
double* number_target(Options& o, int option) {
  switch (option) {
    case 'r':
      return &o.rate;
    case 'd':
      return &o.duration_s;
    case kDrain:
      return &o.drain_s;
    case kFindMax:
      return &o.find_max;
    case kStep:
      return &o.step_s;
    case kProgress:
      return &o.report_every_s;
    default:
      return nullptr;
  }
}

std::expected<void, std::string> apply(Options& o, int option, const char* argument) {
  if (option == 'j') {
    o.json = true;
  } else if (option == 'h') {
    o.help = true;
  } else if (option == kBind) {
    o.bind_address = argument;
  } else {
    const auto value = parse_positive(argument);
    if (!value) return std::unexpected("'" + std::string(argument) + "' is no positive number.");
    if (double* target = number_target(o, option)) *target = *value;
    if (option == 'c') o.count = static_cast<uint64_t>(*value);
    if (option == 's') {
      if (*value < 32 || *value > 1472) return std::unexpected("The size must be between 32 and 1472 bytes.");
      o.size = static_cast<unsigned>(*value);
    }
  }
  return {};
}

}  // namespace

std::expected<Options, std::string> parse_options(int argc, char** argv) {
  static const option kLong[] = {
      {"rate", required_argument, nullptr, 'r'},     {"duration", required_argument, nullptr, 'd'},
      {"count", required_argument, nullptr, 'c'},    {"size", required_argument, nullptr, 's'},
      {"drain", required_argument, nullptr, kDrain}, {"bind", required_argument, nullptr, kBind},
      {"find-max", required_argument, nullptr, kFindMax},
      {"step", required_argument, nullptr, kStep},   {"progress", required_argument, nullptr, kProgress},
      {"json", no_argument, nullptr, 'j'},           {"help", no_argument, nullptr, 'h'},
      {nullptr, 0, nullptr, 0}};
  Options o;
  for (int c; (c = getopt_long(argc, argv, "r:d:c:s:jh", kLong, nullptr)) != -1;) {
    if (c == '?') return std::unexpected("Try udp-probe --help.");
    if (auto applied = apply(o, c, optarg); !applied) return std::unexpected(applied.error());
  }
  if (o.help) return o;
  if (optind >= argc || argc - optind > 2) return std::unexpected("One HOST and at most one PORT are needed; try udp-probe --help.");
  o.host = argv[optind];
  if (optind + 1 < argc) {
    const auto port = parse_positive(argv[optind + 1]);
    if (!port || *port > 65535) return std::unexpected("'" + std::string(argv[optind + 1]) + "' is no UDP port.");
    o.port = static_cast<uint16_t>(*port);
  }
  return o;
}

}  // namespace pagurus::udp_probe
