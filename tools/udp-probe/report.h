// Outcomes as text and as JSON.
#pragma once

#include <string>

#include "options.h"
#include "search.h"
#include "session.h"

namespace pagurus::udp_probe {

std::string text_report(const Options& options, const Outcome& outcome);
std::string json_report(const Options& options, const Outcome& outcome);
std::string text_report(const SearchResult& result);
std::string json_report(const SearchResult& result);

}  // namespace pagurus::udp_probe
