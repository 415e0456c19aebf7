#include "ctl/qmp_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace pagurus::ctl {

using qapi::Json;

namespace {

enum class Ready { kYes, kTimeout };

Result<Ready> wait_for(int fd, short events, const Patience& patience) {
  std::array<pollfd, 2> polled{pollfd{fd, events, 0}, pollfd{patience.interrupt_fd, POLLIN, 0}};
  while (true) {
    int count = poll(polled.data(), polled.size(), patience.remaining_ms());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, "cannot wait for an answer");
    if (polled[1].revents != 0) return fail("interrupted");
    return count == 0 ? Ready::kTimeout : Ready::kYes;
  }
}

}  // namespace

Result<QmpClient> QmpClient::connect(const std::string& path, Patience patience) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail("'{}' cannot be the path of a UNIX socket (1 to {} bytes)", path, sizeof address.sun_path - 1);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno(errno, "cannot create a socket");
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    return fail_errno(errno, "cannot connect to '{}' (is it the QMP socket of a running pagurus?)", path);
  }
  return over(std::move(socket), "'" + path + "'", patience);
}

Result<QmpClient> QmpClient::over(UniqueFd socket, std::string peer, Patience patience) {
  QmpClient client(std::move(socket), std::move(peer), patience);
  TRY(client.negotiate());
  return client;
}

Result<void> QmpClient::negotiate() {
  Json greeting = TRY(receive());
  if (greeting.find("QMP") == nullptr) return fail("{} does not speak QMP", peer_);
  TRY(execute("qmp_capabilities"));
  return {};
}

Result<Json> QmpClient::execute(const std::string& command, Json arguments) {
  Json id(++last_id_);
  Json request = Json::object({{"execute", command}, {"id", id}});
  if (!arguments.is_null()) request.set("arguments", std::move(arguments));
  TRY(send(request.text() + "\n"));
  while (true) {
    Json message = TRY(receive());
    if (message.find("event") != nullptr) {
      events_.push_back(std::move(message));
      continue;
    }
    const Json* answered = message.find("id");
    if (answered == nullptr || *answered != id) continue;  // of a command whose answer came too late
    if (const Json* value = message.find("return")) return *value;
    const Json* error = message.find("error");
    const Json* text = error == nullptr ? nullptr : error->find("desc");
    if (text == nullptr || !text->is_string()) return fail("{} answers '{}' with no result", peer_, command);
    return fail("{} refuses '{}': {}", peer_, command, text->as_string());
  }
}

Result<std::optional<Json>> QmpClient::next_event(int64_t ms) {
  Patience patience = patience_.at_most_ms(ms);
  while (events_.empty()) {
    if (auto message = TRY(parsed())) {
      if (message->find("event") != nullptr) events_.push_back(std::move(*message));
      continue;
    }
    if (TRY(read_more(patience)) == Wait::kTimeout) return std::nullopt;
  }
  Json event = std::move(events_.front());
  events_.pop_front();
  return event;
}

Result<void> QmpClient::send(const std::string& line) {
  size_t sent = 0;
  while (sent < line.size()) {
    if (TRY(wait_for(socket_.get(), POLLOUT, patience_)) == Ready::kTimeout) {
      return fail("{} does not read what it is sent", peer_);
    }
    ssize_t size = ::send(socket_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (size < 0) return fail_errno(errno, "{} cannot be reached any more", peer_);
    sent += static_cast<size_t>(size);
  }
  return {};
}

Result<Json> QmpClient::receive() {
  while (true) {
    if (auto message = TRY(parsed())) return std::move(*message);
    if (TRY(read_more(patience_)) == Wait::kTimeout) return fail("{} did not answer in time", peer_);
  }
}

Result<std::optional<Json>> QmpClient::parsed() {
  auto message = reader_.next();
  if (!message) return std::nullopt;
  return TRY_DOING(peer_ + " sends no QMP", std::move(*message));
}

Result<QmpClient::Wait> QmpClient::read_more(const Patience& patience) {
  if (TRY(wait_for(socket_.get(), POLLIN, patience)) == Ready::kTimeout) return Wait::kTimeout;
  std::array<char, 16384> buffer;
  ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return Wait::kReadable;
  if (size < 0) return fail_errno(errno, "{} cannot be reached any more", peer_);
  if (size == 0) return fail("{} has closed the connection", peer_);
  reader_.feed({buffer.data(), static_cast<size_t>(size)});
  return Wait::kReadable;
}

}  // namespace pagurus::ctl
