// -chardev socket: a UNIX stream socket, one client at a time; others wait in the backlog.
//
// While nobody is connected, what the guest writes vanishes.  A client of a guest that is handed over
// notices nothing: its connection travels, and so does the listening socket.
//
// Threads: see Backend; lock_ guards client_ and in_use_ (written by the control thread only).
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/named_fds.h"
#include "base/unix_listener.h"
#include "chardev/backend.h"
#include "chardev/channel.h"

namespace pagurus::chardev {

struct SocketConfig {
  enum class Role { kListening, kConnected };

  std::string id;
  Role role = Role::kListening;
  std::string path;  // to bind; exclusive with fd
  std::string fd;    // number or name
};

struct SocketState {
  std::vector<vmstate::Fd> listener;  // at most one
  std::string path;                   // to unlink at the end; empty: none
  std::vector<vmstate::Fd> client;    // at most one

  static const vmstate::Description& description();
};

class SocketBackend final : public Backend {
 public:
  SocketBackend(SocketConfig config, NamedFds& named_fds, event::Loop& loop);
  ~SocketBackend() override;

  const std::string& id() const override { return config_.id; }
  std::string_view kind() const override { return "socket"; }
  bool pending() const override { return pending_; }
  Result<void> open() override;
  void attach(Frontend* frontend) override;
  size_t write(std::span<const uint8_t> bytes) override;
  void want_input() override;

  Result<const vmstate::Description*> movable() const override { return &SocketState::description(); }
  void freeze() override;
  Result<void> save(vmstate::Writer& writer) const override;
  Result<void> adopt(vmstate::Reader& reader) override;
  void thaw() override;
  void release() override;

 private:
  Result<void> set_client(UniqueFd fd);
  void client_waits();
  void client_gone();
  // Watches for a client exactly while one can be taken.
  void update_listening();
  void start_client();
  void warn(const Error& error) const;

  SocketConfig config_;
  NamedFds& named_fds_;
  event::Loop& loop_;
  Frontend* frontend_ = nullptr;
  bool pending_ = true;
  bool released_ = false;
  std::optional<UnixListener> listener_;
  // The path to unlink at the end; ours with the first thaw(), that is after the commit.
  std::string adopted_path_;
  event::Watch listener_watch_;

  mutable std::mutex lock_;
  bool in_use_ = false;
  std::unique_ptr<Channel> client_;
};

}  // namespace pagurus::chardev
