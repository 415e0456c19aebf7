// The ownership word: who may run the guest.
//
// One 32-bit word in a memfd that both processes map.  The source creates it and passes it in
// PREPARE.  Two transitions are possible, both by compare-and-swap from kSource, so exactly one of
// them happens, whatever dies and whenever it dies:
//
//   kSource ──▶ kDestination      by the destination, before it runs the guest
//   kSource ──▶ kSourceResumed    by the source, before it goes on after a failure
#pragma once

#include <cstdint>

#include "base/mapping.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace pagurus::migration {

enum class Owner : uint32_t { kSource = 1, kDestination = 2, kSourceResumed = 3 };

class Ownership {
 public:
  // The source's: a new word, kSource.
  static Result<Ownership> create();
  // The destination's.  Refuses a descriptor that is no memfd of the right size, sealed.
  static Result<Ownership> adopt(UniqueFd memfd);

  int fd() const { return fd_.get(); }
  Owner owner() const;
  // Each returns true if this call (or an earlier one of the same side) made the transition.
  bool claim_for_destination() { return claim(Owner::kDestination); }
  bool claim_back_for_source() { return claim(Owner::kSourceResumed); }

 private:
  Ownership(UniqueFd fd, Mapping page) : fd_(std::move(fd)), page_(std::move(page)) {}
  bool claim(Owner wanted);
  uint32_t& word() const;

  UniqueFd fd_;
  Mapping page_;
};

}  // namespace pagurus::migration
