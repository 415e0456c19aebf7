#include "machine/variant.h"

#include "base/log.h"

#ifdef PAGURUS_VARIANT

namespace pagurus::machine {

const vmstate::Description& VariantNote::description() {
  static constexpr auto kFields = std::array{vmstate::field<&VariantNote::handovers>("handovers")};
  static constexpr vmstate::Description kDescription{"variant-note", 1, kFields};
  return kDescription;
}

void VariantNoteSection::save(vmstate::Writer& writer) const { vmstate::write_state(writer, note_); }

Result<void> VariantNoteSection::load(vmstate::Reader& reader) {
  note_ = TRY(vmstate::read_state<VariantNote>(reader));
  ++note_.handovers;
  log_warning("the guest came by {} hand-overs of the variant", note_.handovers);
  return {};
}

}  // namespace pagurus::machine

#endif
