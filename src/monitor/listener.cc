#include "monitor/listener.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "monitor/listener_state.h"

namespace pagurus::monitor {
namespace {

// Whether some process listens at `path`.
bool somebody_listens(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return false;
  int result = connect(probe.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  // EAGAIN: alive, but its backlog is full.
  return result == 0 || errno == EAGAIN;
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::create(event::Loop& loop, std::string path, Start start,
                                                   OnClient on_client) {
  std::unique_ptr<Listener> listener(new Listener(loop, std::move(path), std::move(on_client)));
  if (start == Start::kIncoming && somebody_listens(listener->path_)) return listener;
  listener->listener_ = TRY_DOING("-qmp", UnixListener::bind(listener->path_));
  TRY(listener->serve());
  return listener;
}

Result<void> Listener::serve() {
  if (!listener_) return {};
  // Until the commit the path is the other process's: this one must not unlink it.
  if (adopted_path_) listener_->take_path(*std::exchange(adopted_path_, std::nullopt));
  watch_ = TRY(loop_.watch_fd(listener_->fd(), EPOLLIN, [this](uint32_t) { accept_one(); }));
  return {};
}

void Listener::accept_one() {
  auto client = listener_->accept();
  if (!client) {
    log_warning("QMP socket '{}': {}", path_, client.error().message());
    return;
  }
  if (*client) on_client_(std::move(**client));
}

Result<const vmstate::Description*> Listener::movable() const { return &ListenerState::description(); }

void Listener::freeze() { watch_ = event::Watch(); }

Result<void> Listener::save(vmstate::Writer& writer) const {
  CHECK(listener_.has_value(), "only a frozen listener is saved");
  vmstate::write_state(writer, ListenerState{listener_->path(), vmstate::Fd::lend(listener_->fd())});
  return {};
}

Result<void> Listener::adopt(vmstate::Reader& reader) {
  CHECK(pending(), "only a pending listener adopts");
  ListenerState state = TRY(vmstate::read_state<ListenerState>(reader));
  listener_ = TRY_DOING(transfer_name(), UnixListener::adopt(state.socket.take()));
  adopted_path_ = std::move(state.path);
  return {};
}

void Listener::thaw() {
  if (auto served = serve(); !served) {
    log_error("QMP socket '{}' is not served: {}", path_, served.error().message());
  }
}

void Listener::release() {
  watch_ = event::Watch();
  if (listener_) listener_->release();
  listener_.reset();
}

}  // namespace pagurus::monitor
