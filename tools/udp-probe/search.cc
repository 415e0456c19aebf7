// The search for the highest loss-free rate.

#include "search.h"

#include <algorithm>
#include <cmath>

#include "session.h"

namespace pagurus::udp_probe {
namespace {

constexpr double kLowest = 100;

class Search {
 public:
  Search(const Options& options, const std::atomic<bool>& stop) : options_(options), stop_(stop) {}

  std::expected<SearchResult, std::string> run() {
    double bad = 0;
    for (const double rate : ladder()) {
      const auto good = attempt(rate, options_.step_s);
      if (!good) return std::unexpected(good.error());
      if (!*good) {
        bad = rate;
        break;
      }
      result_.rate = rate;
    }
    if (bad != 0 && result_.rate != 0) {
      if (const auto narrowed = narrow(bad); !narrowed) return std::unexpected(narrowed.error());
    }
    if (const auto confirmed = confirm(); !confirmed) return std::unexpected(confirmed.error());
    return std::move(result_);
  }

 private:
  std::vector<double> ladder() const {
    std::vector<double> rates;
    for (double decade = kLowest; decade < options_.find_max; decade *= 10) {
      for (const double step : {1.0, 2.0, 5.0}) {
        if (decade * step < options_.find_max) rates.push_back(decade * step);
      }
    }
    rates.push_back(options_.find_max);
    return rates;
  }

  std::expected<void, std::string> narrow(double bad) {
    for (int i = 0; i < 2; ++i) {
      const double middle = std::round((result_.rate + bad) / 2);
      const auto good = attempt(middle, options_.step_s);
      if (!good) return std::unexpected(good.error());
      (*good ? result_.rate : bad) = middle;
    }
    return {};
  }

  std::expected<void, std::string> confirm() {
    while (result_.rate >= kLowest && !stop_) {
      const auto good = attempt(result_.rate, options_.step_s * 2);
      if (!good) return std::unexpected(good.error());
      if (*good) return {};
      result_.rate = std::floor(result_.rate * 0.9);
    }
    result_.rate = 0;
    return {};
  }

  std::expected<bool, std::string> attempt(double rate, double seconds) {
    if (stop_) return false;
    Options o = options_;
    o.rate = rate;
    o.count = 0;
    o.duration_s = seconds;
    const auto outcome = run_session(o, stop_);
    if (!outcome) return std::unexpected(outcome.error());
    const double achieved =
        static_cast<double>(outcome->sent) * 1e9 / static_cast<double>(std::max<int64_t>(1, outcome->elapsed_ns));
    const bool good = outcome->sent != 0 && outcome->lost() == 0 && outcome->ledger.duplicates() == 0 &&
                      outcome->refused == 0 && achieved >= 0.98 * rate &&
                      static_cast<double>(outcome->ledger.latency().max()) <= options_.drain_s * 1e9;
    result_.trials.push_back({rate, seconds, achieved, outcome->lost(), good});
    return good;
  }

  const Options& options_;
  const std::atomic<bool>& stop_;
  SearchResult result_;
};

}  // namespace

std::expected<SearchResult, std::string> find_highest_rate(const Options& options, const std::atomic<bool>& stop) {
  return Search(options, stop).run();
}

}  // namespace pagurus::udp_probe
