// -chardev null: takes everything, says nothing, has nothing to hand over.
#pragma once

#include <string>

#include "chardev/backend.h"

namespace pagurus::chardev {

struct NullState {
  static const vmstate::Description& description();
};

class NullBackend final : public Backend {
 public:
  explicit NullBackend(std::string id) : id_(std::move(id)) {}

  const std::string& id() const override { return id_; }
  std::string_view kind() const override { return "null"; }
  bool pending() const override { return pending_; }
  Result<void> open() override;
  void attach(Frontend* frontend) override { frontend_ = frontend; }
  size_t write(std::span<const uint8_t> bytes) override { return bytes.size(); }
  void want_input() override {}

  Result<const vmstate::Description*> movable() const override { return &NullState::description(); }
  void freeze() override {}
  Result<void> save(vmstate::Writer& writer) const override;
  Result<void> adopt(vmstate::Reader& reader) override;
  void thaw() override;
  void release() override {}

 private:
  std::string id_;
  Frontend* frontend_ = nullptr;
  bool pending_ = true;
};

}  // namespace pagurus::chardev
