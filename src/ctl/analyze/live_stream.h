// The stream of a running guest, seen by asking its process to migrate it to us: the guest is held still for a
// moment and goes on where it is.
//
// The source's settings are changed for that long, and then as they were.
//
// Threads: one.
#pragma once

#include <optional>
#include <string>

#include "ctl/analyze/onlooker.h"
#include "ctl/private_directory.h"
#include "ctl/qmp_client.h"

namespace pagurus::ctl {

class LiveStream {
 public:
  static Result<LiveStream> of(const std::string& qmp_socket, const Patience& patience);

  Result<void> print(StreamPrinter& printer);

 private:
  explicit LiveStream(QmpClient source) : source_(std::move(source)) {}
  Result<void> prepare();
  Result<void> set_capability(const std::string& name, bool state);
  Result<void> watch(StreamPrinter& printer);
  Result<void> settle();
  void restore();

  QmpClient source_;
  std::optional<qapi::Json> former_transfer_;  // once it has been changed
  bool paused_before_switchover_ = false;      // the capability was on
  bool migrating_ = false;                     // it was asked to
};

}  // namespace pagurus::ctl
