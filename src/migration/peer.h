// What source and destination have in common: the time line, and the list of extra resources.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "machine/handover.h"
#include "migration/migration.h"
#include "wire/messages.h"

namespace pagurus::migration {

// Times of the phases, in nanoseconds of CLOCK_MONOTONIC.
class Timeline {
 public:
  explicit Timeline(int64_t begin_ns) : begin_ns_(begin_ns) {}
  // Adds a phase that ran from `from_ns` to `to_ns`.
  void add(std::string name, int64_t from_ns, int64_t to_ns) {
    phases_.push_back(
        {std::move(name), static_cast<double>(from_ns - begin_ns_) / 1e3, static_cast<double>(to_ns - from_ns) / 1e3});
  }
  const std::vector<Phase>& phases() const { return phases_; }
  int64_t begin_ns() const { return begin_ns_; }

 private:
  int64_t begin_ns_;
  std::vector<Phase> phases_;
};

// A resource outside the guest that can move, e.g. a QMP listener.
struct Extra {
  std::string name;
  vmstate::Movable* movable;
};

std::vector<wire::SectionData> to_messages(std::vector<machine::SavedSection> sections);
std::vector<machine::LoadedSection> to_sections(std::vector<wire::SectionData> messages);

}  // namespace pagurus::migration
