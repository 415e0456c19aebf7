#include "migration/ram_source.h"

#include <algorithm>

#include "memory/zero_page.h"

namespace pagurus::migration {
namespace {

using memory::kPageSize;

// A guest whose RAM is zero must not keep the control thread: 16 MiB take a millisecond or two.
constexpr uint64_t kMaxLookedAt = 4096;
// What a bandwidth is measured over: long enough that a socket's buffer does not count as a network.
constexpr int64_t kMeasureNs = 100'000'000;
// Of a message, beside its data: two lengths, and each run.
constexpr uint64_t kMessageBytes = 4 + 4;
constexpr uint64_t kRunBytes = 8 + 4 + 1;

// Adds one page; false if the message has no room for another run.
bool append(wire::Ram& message, uint64_t page, const uint8_t* bytes) {
  bool zero = memory::is_zero_page(bytes);
  auto* last = message.runs.empty() ? nullptr : &message.runs.back();
  if (last != nullptr && last->zero == zero && last->offset + last->pages * kPageSize == page * kPageSize) {
    ++last->pages;
  } else {
    if (message.runs.size() == wire::kMaxRuns) return false;
    message.runs.push_back({.offset = page * kPageSize, .pages = 1, .zero = zero});
  }
  if (!zero) message.data.insert(message.data.end(), bytes, bytes + kPageSize);
  return true;
}

}  // namespace

RamSource::RamSource(machine::LoggedRam& ram) : ram_(ram), dirty_(ram.ram().size() / kPageSize) {
  statistics_.total = ram.ram().size();
  statistics_.page_size = kPageSize;
}

RamSource::~RamSource() { ram_.stop_dirty_log(); }

Result<void> RamSource::begin(int64_t now_ns) {
  TRY(ram_.start_dirty_log());
  // After the log has begun: what is touched from now on is in it.
  for (const memory::RamRange& range : TRY(ram_.ram().used_ranges(kPageSize))) {
    dirty_.set({range.offset / kPageSize, range.size / kPageSize});
  }
  remaining_pages_ = dirty_.count();
  round_began_ns_ = now_ns;
  statistics_.dirty_sync_count = 1;
  return {};
}

std::optional<wire::Ram> RamSource::next(size_t max_bytes) {
  uint64_t most = std::clamp<uint64_t>(max_bytes, kPageSize, wire::kMaxRamBytes) / kPageSize * kPageSize;
  wire::Ram message;
  message.data.reserve(std::min(most, remaining_pages_ * kPageSize));
  for (uint64_t looked_at = 0; remaining_pages_ > 0 && looked_at < kMaxLookedAt;) {
    uint64_t room = (most - message.data.size()) / kPageSize;
    auto run = dirty_.next_run(at_, std::min(room, kMaxLookedAt - looked_at));
    if (!run) {
      if (room == 0) break;
      CHECK(at_ != 0, "what remains is somewhere");
      at_ = 0;
      continue;
    }
    dirty_.clear(*run);
    const uint8_t* bytes = ram_.ram().host_base() + run->first * kPageSize;
    uint64_t done = 0;
    while (done < run->count && append(message, run->first + done, bytes + done * kPageSize)) ++done;
    if (done < run->count) dirty_.set({run->first + done, run->count - done});
    remaining_pages_ -= done;
    looked_at += done;
    at_ = run->first + done;
    if (done < run->count) break;
  }
  if (message.runs.empty()) return std::nullopt;
  count(message);
  return message;
}

void RamSource::count(const wire::Ram& message) {
  uint64_t pages = message.data.size() / kPageSize;
  for (const wire::RamRun& run : message.runs) statistics_.duplicate += run.zero ? run.pages : 0;
  statistics_.normal += pages;
  statistics_.normal_bytes += message.data.size();
  uint64_t bytes = kMessageBytes + kRunBytes * message.runs.size() + message.data.size();
  statistics_.transferred += bytes;
  (in_pause_ ? statistics_.downtime_bytes : statistics_.precopy_bytes) += bytes;
  round_bytes_ += bytes;
}

Result<void> RamSource::sync(int64_t now_ns) {
  memory::PageBitmap written(dirty_.pages());
  TRY(ram_.collect_dirty(written));
  // In the pause nobody writes: what is wanted is how fast the guest wrote while it ran.
  if (!in_pause_) {
    auto ns = static_cast<double>(std::max<int64_t>(1, now_ns - round_began_ns_));
    statistics_.dirty_pages_rate = static_cast<uint64_t>(static_cast<double>(written.count()) * 1e9 / ns);
  }
  dirty_.take(written);
  remaining_pages_ = dirty_.count();
  ++statistics_.dirty_sync_count;
  end_round(now_ns);
  return {};
}

void RamSource::end_round(int64_t now_ns) {
  rounds_.push_back({.bytes = round_bytes_, .ns = std::max<int64_t>(1, now_ns - round_began_ns_)});
  round_bytes_ = 0;
  round_began_ns_ = now_ns;
  int64_t measured = 0;
  for (const Round& round : rounds_) measured += round.ns;
  while (measured - rounds_.front().ns >= kMeasureNs) {
    measured -= rounds_.front().ns;
    rounds_.erase(rounds_.begin());
  }
}

uint64_t RamSource::bandwidth() const {
  double bytes = 0;
  double ns = 0;
  for (const Round& round : rounds_) {
    bytes += static_cast<double>(round.bytes);
    ns += static_cast<double>(round.ns);
  }
  return ns == 0 ? 0 : static_cast<uint64_t>(bytes * 1e9 / ns);
}

bool RamSource::converged(uint64_t downtime_limit_ms, uint64_t bytes_per_s) const {
  auto rest = static_cast<double>(remaining_pages_ * kPageSize);
  return rest * 1000 <= static_cast<double>(downtime_limit_ms) * static_cast<double>(bytes_per_s);
}

RamStatistics RamSource::statistics() const {
  RamStatistics statistics = statistics_;
  statistics.remaining = remaining_pages_ * kPageSize;
  statistics.mbps = static_cast<double>(bandwidth()) * 8 / 1e6;
  return statistics;
}

}  // namespace pagurus::migration
