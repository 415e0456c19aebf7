#include "ctl/near_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace pagurus::ctl {
namespace {

constexpr size_t kMostNames = 3;
constexpr size_t kLongestWord = 64;    // nobody types more; the distance takes quadratic time
constexpr size_t kLettersPerTypo = 4;  // one wrong letter in so many still is a typing mistake
constexpr size_t kShortestPart = 3;    // of a name

// How many letters must be added, removed or replaced, or neighbours exchanged.  Dash and underscore are
// the same letter: the protocol's names have either.
size_t distance(std::string_view a, std::string_view b) {
  auto same = [](char x, char y) { return (x == '_' ? '-' : x) == (y == '_' ? '-' : y); };
  std::vector<std::vector<size_t>> rows(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        rows[i][j] = i + j;
        continue;
      }
      size_t replaced = rows[i - 1][j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1);
      rows[i][j] = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, replaced});
      bool exchanged = i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]);
      if (exchanged) rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[a.size()][b.size()];
}

}  // namespace

std::vector<std::string> near_names(std::string_view word, std::span<const std::string> names) {
  if (word.size() > kLongestWord) return {};
  std::vector<std::pair<size_t, std::string>> ranked;
  size_t limit = std::max<size_t>(1, word.size() / kLettersPerTypo);
  for (const std::string& name : names) {
    size_t far = name.size() > kLongestWord ? kLongestWord : distance(word, name);
    bool part = word.size() >= kShortestPart && name.find(word) != std::string::npos;
    if (far <= limit)
      ranked.emplace_back(far, name);
    else if (part)
      ranked.emplace_back(kLongestWord + far, name);
  }
  std::ranges::sort(ranked);
  std::vector<std::string> nearest;
  for (auto& [far, name] : ranked) {
    if (nearest.size() < kMostNames) nearest.push_back(std::move(name));
  }
  return nearest;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> names) {
  auto nearest = near_names(word, names);
  return nearest.empty() ? "" : fmt::format("; did you mean '{}'?", fmt::join(nearest, "' or '"));
}

}  // namespace pagurus::ctl
