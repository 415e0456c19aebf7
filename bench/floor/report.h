// What the rounds gave, for people and for programs.
#pragma once

#include <string>
#include <vector>

#include "round.h"

namespace pagurus::floor {

std::string text_report(const Options& options, const std::vector<Times>& rounds);
std::string json_report(const Options& options, const std::vector<Times>& rounds);

}  // namespace pagurus::floor
