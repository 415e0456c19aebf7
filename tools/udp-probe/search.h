// Search for the highest rate at which nothing is lost.
#pragma once

#include <atomic>
#include <expected>
#include <string>
#include <vector>

#include "options.h"

namespace pagurus::udp_probe {

struct Trial {
  double rate;
  double seconds;
  double achieved;
  uint64_t lost;
  bool good;  // nothing lost or doubled, and at least 98 % of the rate was really sent
};

struct SearchResult {
  double rate = 0;  // 0: not even the lowest was loss-free
  std::vector<Trial> trials;
};

// Climbs in steps of 1, 2, 5 from 100/s to options.find_max, halves the interval between the last good and the first
// bad rate twice, and then runs the best for twice the time; what fails there is lowered by a tenth and tried again.
std::expected<SearchResult, std::string> find_highest_rate(const Options& options, const std::atomic<bool>& stop);

}  // namespace pagurus::udp_probe
