// Formatting by snprintf: one place knows the names of all numbers.

#include "report.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace pagurus::udp_probe {
namespace {

[[gnu::format(printf, 2, 3)]] void append(std::string& out, const char* format, ...) {
  char buffer[512];
  va_list arguments;
  va_start(arguments, format);
  const int n = std::vsnprintf(buffer, sizeof(buffer), format, arguments);
  va_end(arguments);
  if (n > 0) out.append(buffer, std::min<size_t>(static_cast<size_t>(n), sizeof(buffer) - 1));
}

unsigned long long ull(uint64_t v) { return v; }
double us(int64_t ns) { return static_cast<double>(ns) / 1e3; }
double us(uint64_t ns) { return static_cast<double>(ns) / 1e3; }

double achieved_rate(const Outcome& o) {
  return o.elapsed_ns > 0 ? static_cast<double>(o.sent) * 1e9 / static_cast<double>(o.elapsed_ns) : 0;
}

int64_t longest_silence(const Outcome& o) {
  return o.ledger.silences().empty() ? 0 : o.ledger.silences().front().length_ns;
}

}  // namespace

std::string text_report(const Options& options, const Outcome& o) {
  std::string out;
  const LatencyHistogram& latency = o.ledger.latency();
  append(out, "sent %llu  replies %llu  lost %llu  duplicated %llu  reordered %llu\n", ull(o.sent),
         ull(o.ledger.replies()), ull(o.lost()), ull(o.ledger.duplicates()), ull(o.ledger.reordered()));
  append(out, "rate %.0f/s wanted, %.1f/s achieved over %.2f s\n", options.rate, achieved_rate(o),
         static_cast<double>(o.elapsed_ns) / 1e9);
  append(out, "longest gap between replies %.3f ms (the sender's own longest: %.3f ms)\n", us(longest_silence(o)) / 1e3,
         us(o.longest_send_gap_ns) / 1e3);
  append(out, "latency us: 50%% %.1f  90%% %.1f  99%% %.1f  99.9%% %.1f  max %.1f\n", us(latency.percentile(0.5)),
         us(latency.percentile(0.9)), us(latency.percentile(0.99)), us(latency.percentile(0.999)), us(latency.max()));
  for (const LostRun& run : o.ledger.lost_runs(o.sent, 8)) {
    append(out, "lost from sequence %llu: %llu\n", ull(run.first), ull(run.count));
  }
  if (o.refused != 0 || o.icmp_errors != 0 || o.local_drops != 0 || o.foreign != 0) {
    append(out, "refused by the kernel %llu  ICMP errors %llu  dropped in our own queue %llu  foreign %llu\n",
           ull(o.refused), ull(o.icmp_errors), ull(o.local_drops), ull(o.foreign));
  }
  return out;
}

std::string json_report(const Options& options, const Outcome& o) {
  std::string out;
  const LatencyHistogram& latency = o.ledger.latency();
  append(out, "{\"sent\": %llu, \"replies\": %llu, \"lost\": %llu, \"duplicated\": %llu, \"reordered\": %llu, ",
         ull(o.sent), ull(o.ledger.replies()), ull(o.lost()), ull(o.ledger.duplicates()), ull(o.ledger.reordered()));
  append(out, "\"refused\": %llu, \"icmp_errors\": %llu, \"local_drops\": %llu, \"foreign\": %llu, ", ull(o.refused),
         ull(o.icmp_errors), ull(o.local_drops), ull(o.foreign));
  append(out, "\"rate\": %.3f, \"achieved_rate\": %.3f, \"elapsed_s\": %.6f, \"size\": %u, ", options.rate,
         achieved_rate(o), static_cast<double>(o.elapsed_ns) / 1e9, options.size);
  append(out, "\"longest_gap_us\": %.1f, \"sender_longest_gap_us\": %.1f, ", us(longest_silence(o)),
         us(o.longest_send_gap_ns));
  append(out, "\"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}, ",
         us(latency.percentile(0.5)), us(latency.percentile(0.9)), us(latency.percentile(0.99)),
         us(latency.percentile(0.999)), us(latency.max()));
  out += "\"gaps\": [";
  const char* separator = "";
  for (const Silence& s : o.ledger.silences()) {
    append(out, "%s{\"start_ns\": %lld, \"us\": %.1f, \"sequence\": %llu}", separator,
           static_cast<long long>(s.start_ns), us(s.length_ns), ull(s.sequence));
    separator = ", ";
  }
  out += "], \"lost_runs\": [";
  separator = "";
  for (const LostRun& run : o.ledger.lost_runs(o.sent, 64)) {
    append(out, "%s{\"first\": %llu, \"count\": %llu}", separator, ull(run.first), ull(run.count));
    separator = ", ";
  }
  return out + "]}\n";
}

std::string text_report(const SearchResult& result) {
  std::string out;
  for (const Trial& t : result.trials) {
    append(out, "%8.0f/s for %.1f s: achieved %.0f/s, lost %llu%s\n", t.rate, t.seconds, t.achieved, ull(t.lost),
           t.good ? "" : "  (not good enough)");
  }
  append(out, "highest loss-free rate: %.0f/s\n", result.rate);
  return out;
}

std::string json_report(const SearchResult& result) {
  std::string out;
  append(out, "{\"highest_loss_free_rate\": %.3f, \"trials\": [", result.rate);
  const char* separator = "";
  for (const Trial& t : result.trials) {
    append(out, "%s{\"rate\": %.3f, \"seconds\": %.3f, \"achieved_rate\": %.3f, \"lost\": %llu, \"good\": %s}", separator,
           t.rate, t.seconds, t.achieved, ull(t.lost), t.good ? "true" : "false");
    separator = ", ";
  }
  return out + "]}\n";
}

}  // namespace pagurus::udp_probe
