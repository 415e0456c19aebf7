#include "chardev/null_backend.h"

namespace pagurus::chardev {

Result<void> NullBackend::open() {
  pending_ = false;
  return {};
}

Result<const vmstate::Description*> NullBackend::movable() const {
  static constexpr vmstate::Description kDescription{"chardev-null", 1, {}};
  return &kDescription;
}

Result<void> NullBackend::save(vmstate::Writer&) const { return {}; }

Result<void> NullBackend::adopt(vmstate::Reader& reader) {
  TRY(reader.finish());
  pending_ = false;
  return {};
}

// The front end may hold bytes that another kind of back end had not taken.
void NullBackend::thaw() {
  if (frontend_ != nullptr) frontend_->writable();
}

}  // namespace pagurus::chardev
