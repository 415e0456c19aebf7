#include "report.h"

#include <algorithm>

namespace pagurus::floor {
namespace {

struct Stretch {
  const char* name;
  const char* what;
  int64_t Times::*from;
  int64_t Times::*to;
};
constexpr Stretch kStretches[] = {
    {"pause", "all of it", &Times::begun, &Times::entered},
    {"get", "read the state", &Times::begun, &Times::got},
    {"send", "sendmsg until received", &Times::got, &Times::received},
    {"set", "write the state", &Times::received, &Times::set},
    {"enter", "first entry and exit", &Times::set, &Times::entered},
};

std::vector<double> sorted_us(const Stretch& stretch, const std::vector<Times>& rounds) {
  std::vector<double> us;
  for (const Times& round : rounds) us.push_back(static_cast<double>(round.*stretch.to - round.*stretch.from) / 1e3);
  std::ranges::sort(us);
  return us;
}

// The nearest rank.
double quantile(const std::vector<double>& sorted, double share) {
  auto rank = static_cast<size_t>(share * static_cast<double>(sorted.size()) + 0.999999);
  return sorted[std::clamp<size_t>(rank, 1, sorted.size()) - 1];
}

}  // namespace

std::string text_report(const Options& options, const std::vector<Times>& rounds) {
  std::string text = fmt::format("floor: {} rounds, {} vCPUs, {} MiB, {} descriptors; microseconds\n\n", rounds.size(),
                                 options.vcpus, options.memory_mib, options.descriptors);
  text += fmt::format("{:<8}{:>10}{:>10}{:>10}{:>10}\n", "", "median", "p90", "p99", "max");
  for (const Stretch& stretch : kStretches) {
    auto us = sorted_us(stretch, rounds);
    text += fmt::format("{:<8}{:>10.1f}{:>10.1f}{:>10.1f}{:>10.1f}  {}\n", stretch.name, quantile(us, 0.5),
                        quantile(us, 0.9), quantile(us, 0.99), us.back(), stretch.what);
  }
  return text;
}

std::string json_report(const Options& options, const std::vector<Times>& rounds) {
  std::string text = fmt::format(R"({{"count": {}, "vcpus": {}, "memory_mib": {}, "fds": {}, "us": {{)", rounds.size(),
                                 options.vcpus, options.memory_mib, options.descriptors);
  const char* comma = "";
  for (const Stretch& stretch : kStretches) {
    auto us = sorted_us(stretch, rounds);
    text += fmt::format(R"({}"{}": {{"median": {:.1f}, "p90": {:.1f}, "p99": {:.1f}, "max": {:.1f}, "all": [)", comma,
                        stretch.name, quantile(us, 0.5), quantile(us, 0.9), quantile(us, 0.99), us.back());
    for (size_t i = 0; i < us.size(); ++i) text += fmt::format("{}{:.1f}", i == 0 ? "" : ", ", us[i]);
    text += "]}";
    comma = ", ";
  }
  return text + "}}\n";
}

}  // namespace pagurus::floor
