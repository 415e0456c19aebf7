// A path at which QMP clients connect, and which can move to another process: after an upgrade the
// operator's socket is served by the new one.
//
// States:
//
//   listening ──freeze()──▶ frozen ──┬── thaw(): listening
//                                    └── release(): gone, the path stays
//   pending ──adopt()──▶ frozen ──thaw()──▶ listening
//
// Pending is a destination's listener at whose path a live process listens: opening it would take
// the path away from the running guest's process.  Connections that were accepted stay where they
// are, in every state.
//
// Threads: the control thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/unix_listener.h"
#include "event/loop.h"
#include "vmstate/section.h"

namespace pagurus::monitor {

class Listener : public vmstate::Movable {
 public:
  enum class Start { kNewGuest, kIncoming };
  using OnClient = std::function<void(UniqueFd)>;

  static Result<std::unique_ptr<Listener>> create(event::Loop& loop, std::string path, Start start, OnClient on_client);

  bool pending() const override { return !listener_.has_value(); }
  // The name under which the two sides of a hand-over find each other's listener.
  std::string transfer_name() const { return "qmp-listener " + path_; }

  Result<const vmstate::Description*> movable() const override;
  void freeze() override;
  Result<void> save(vmstate::Writer& writer) const override;
  Result<void> adopt(vmstate::Reader& reader) override;
  void thaw() override;
  void release() override;

 private:
  Listener(event::Loop& loop, std::string path, OnClient on_client)
      : loop_(loop), path_(std::move(path)), on_client_(std::move(on_client)) {}
  Result<void> serve();
  void accept_one();

  event::Loop& loop_;
  std::string path_;
  OnClient on_client_;
  std::optional<UnixListener> listener_;     // nothing: pending or released
  std::optional<std::string> adopted_path_;  // until the commit
  event::Watch watch_;
};

}  // namespace pagurus::monitor
