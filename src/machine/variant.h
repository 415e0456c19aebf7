// What the build variant of the tests (CMake option PAGURUS_VARIANT) has besides: a pagurus that differs
// as another version would, to hand a guest over to and from.
#pragma once

#include "vmstate/section.h"

namespace pagurus::machine {

// An optional section: how many hand-overs the guest came by, as far as the variant took it in.
struct VariantNote {
  uint64_t handovers = 0;
  static const vmstate::Description& description();
};

class VariantNoteSection final : public vmstate::Section {
 public:
  const vmstate::Description& description() const override { return VariantNote::description(); }
  void save(vmstate::Writer& writer) const override;
  Result<void> load(vmstate::Reader& reader) override;
  uint64_t handovers() const { return note_.handovers; }

 private:
  VariantNote note_;
};

}  // namespace pagurus::machine
