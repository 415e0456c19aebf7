#include "chardev/null_backend.h"

namespace pagurus::chardev {

const vmstate::Description& NullState::description() {
  static constexpr vmstate::Description kDescription{"chardev-null", 1, {}};
  return kDescription;
}

Result<void> NullBackend::open() {
  pending_ = false;
  return {};
}

Result<void> NullBackend::save(vmstate::Writer& writer) const {
  vmstate::write_state(writer, NullState{});
  return {};
}

Result<void> NullBackend::adopt(vmstate::Reader& reader) {
  TRY(vmstate::read_state<NullState>(reader));
  pending_ = false;
  return {};
}

// The front end may hold bytes that another kind of back end had not taken.
void NullBackend::thaw() {
  if (frontend_ != nullptr) frontend_->writable();
}

}  // namespace pagurus::chardev
