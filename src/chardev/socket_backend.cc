#include "chardev/socket_backend.h"

#include <utility>

#include "base/log.h"
#include "base/socket.h"

namespace pagurus::chardev {
const vmstate::Description& SocketState::description() {
  constexpr uint64_t kMaxPath = 108;  // sizeof sockaddr_un::sun_path
  static constexpr auto kFields = std::array{
      vmstate::field<&SocketState::listener>("listener", {.max = 1}),
      vmstate::field<&SocketState::path>("path", {.max = kMaxPath}),
      vmstate::field<&SocketState::client>("client", {.max = 1}),
  };
  static constexpr vmstate::Description kDescription{"chardev-socket", 1, kFields};
  return kDescription;
}

SocketBackend::SocketBackend(SocketConfig config, NamedFds& named_fds, event::Loop& loop)
    : config_(std::move(config)), named_fds_(named_fds), loop_(loop) {}

SocketBackend::~SocketBackend() { freeze(); }

Result<void> SocketBackend::open() {
  auto doing = fmt::format("character device '{}'", config_.id);
  if (!config_.path.empty()) {
    listener_ = TRY_DOING(doing, UnixListener::bind(config_.path));
  } else {
    auto fd = TRY_DOING(doing, named_fds_.resolve(config_.fd));
    if (config_.role == SocketConfig::Role::kListening) {
      listener_ = TRY_DOING(doing, UnixListener::of_fd(std::move(fd)));
    } else {
      TRY_DOING(doing, set_client(std::move(fd)));
    }
  }
  pending_ = false;
  return {};
}

Result<void> SocketBackend::set_client(UniqueFd fd) {
  TRY(check_connection(fd.get()));
  auto output = TRY(duplicate(fd.get()));
  auto client = std::make_unique<Channel>(
      loop_, Channel::Descriptors{.input = std::move(fd), .output = std::move(output)}, [this] { client_gone(); });
  std::lock_guard lock(lock_);
  client_ = std::move(client);
  return {};
}

void SocketBackend::attach(Frontend* frontend) {
  if (frontend == nullptr) freeze();
  frontend_ = frontend;
}

size_t SocketBackend::write(std::span<const uint8_t> bytes) {
  std::lock_guard lock(lock_);
  if (!in_use_) return 0;
  return client_ ? client_->write(bytes) : bytes.size();
}

void SocketBackend::want_input() {
  std::lock_guard lock(lock_);
  if (client_) client_->want_input();
}

void SocketBackend::client_waits() {
  auto client = listener_->accept();
  if (!client) return warn(client.error());
  if (!*client) return;
  auto set = set_client(std::move(**client));
  if (!set) return warn(set.error());
  start_client();
  update_listening();
}

void SocketBackend::client_gone() {
  std::unique_ptr<Channel> gone;
  {
    std::lock_guard lock(lock_);
    gone = std::move(client_);
  }
  gone.reset();
  update_listening();
  // Bytes that waited for this client vanish with it; the guest must not wait on.
  if (in_use_ && frontend_ != nullptr) frontend_->writable();
}

void SocketBackend::update_listening() {
  bool wanted = false;
  {
    std::lock_guard lock(lock_);
    wanted = in_use_ && listener_ && !client_;
  }
  if (!wanted) {
    listener_watch_ = event::Watch();
    return;
  }
  if (listener_watch_) return;
  auto watch = loop_.watch_fd(listener_->fd(), EPOLLIN, [this](uint32_t) { client_waits(); });
  if (!watch) return warn(watch.error());
  listener_watch_ = std::move(*watch);
}

void SocketBackend::start_client() {
  Channel* client = nullptr;
  {
    std::lock_guard lock(lock_);
    client = client_.get();
  }
  // Only this thread replaces client_, so it may be used without the lock.
  if (client == nullptr) return;
  client->start(frontend_);
}

void SocketBackend::freeze() {
  {
    std::lock_guard lock(lock_);
    in_use_ = false;
    if (client_) client_->stop();
  }
  update_listening();
}

void SocketBackend::thaw() {
  if (pending_ || released_) return;
  {
    std::lock_guard lock(lock_);
    in_use_ = true;
  }
  if (listener_ && !adopted_path_.empty()) listener_->take_path(std::exchange(adopted_path_, {}));
  start_client();
  update_listening();
  if (frontend_ != nullptr) frontend_->writable();
}

Result<void> SocketBackend::save(vmstate::Writer& writer) const {
  SocketState state;
  if (listener_) {
    state.listener.push_back(vmstate::Fd::lend(listener_->fd()));
    state.path = listener_->path();
  }
  std::lock_guard lock(lock_);
  if (client_) state.client.push_back(vmstate::Fd::lend(client_->input_fd()));
  vmstate::write_state(writer, state);
  return {};
}

Result<void> SocketBackend::adopt(vmstate::Reader& reader) {
  auto state = TRY(vmstate::read_state<SocketState>(reader));
  if (!state.client.empty()) TRY(set_client(state.client.front().take()));
  adopted_path_ = std::move(state.path);
  if (!state.listener.empty()) {
    auto listener = UnixListener::adopt(state.listener.front().take());
    if (!listener) {
      std::lock_guard lock(lock_);
      client_.reset();
      return std::unexpected(std::move(listener.error()));
    }
    listener_ = std::move(*listener);
  }
  pending_ = false;
  return {};
}

void SocketBackend::release() {
  freeze();
  if (listener_) listener_->release();
  released_ = true;
}

void SocketBackend::warn(const Error& error) const {
  log_warning("character device '{}': {}", config_.id, error.message());
}

}  // namespace pagurus::chardev
