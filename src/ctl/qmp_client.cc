#include "ctl/qmp_client.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "ctl/unix_address.h"

namespace pagurus::ctl {

using qapi::Json;

Result<QmpClient> QmpClient::connect(const std::string& path, Patience patience, Bands bands) {
  sockaddr_un address = TRY(unix_address(path));
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno(errno, "cannot create a socket");
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    return fail_errno(errno, "cannot connect to '{}' (is it the QMP socket of a running pagurus?)", path);
  }
  return over(std::move(socket), "'" + path + "'", patience, bands);
}

Result<QmpClient> QmpClient::over(UniqueFd socket, std::string peer, Patience patience, Bands bands) {
  QmpClient client(std::move(socket), std::move(peer), patience);
  TRY(client.negotiate(bands));
  return client;
}

Result<void> QmpClient::negotiate(Bands bands) {
  Json greeting = TRY(receive());
  const Json* server = greeting.find("QMP");
  if (server == nullptr) return fail("{} does not speak QMP", peer_);
  Json arguments;
  const Json* offered = server->find("capabilities");
  if (bands == Bands::kOutOfBand && offered != nullptr && offered->is_array() &&
      std::ranges::find(offered->as_array(), Json("oob")) != offered->as_array().end()) {
    arguments = Json::object({{"enable", Json::Array{"oob"}}});
  }
  TRY(execute("qmp_capabilities", std::move(arguments)));
  return {};
}

Result<QmpClient::Answer> QmpClient::ask(QmpRequest request) {
  Json id(++last_id_);
  const char* verb = request.band == QmpRequest::Band::kOut ? "exec-oob" : "execute";
  Json message = Json::object({{verb, request.command}, {"id", id}});
  if (!request.arguments.is_null()) message.set("arguments", std::move(request.arguments));
  TRY(send(message.text() + "\n"));
  while (true) {
    Json reply = TRY(receive());
    if (reply.find("event") != nullptr) {
      take_event(std::move(reply));
      continue;
    }
    const Json* answered = reply.find("id");
    if (answered == nullptr || *answered != id) continue;  // of a command whose answer came too late
    if (const Json* value = reply.find("return")) return Answer(*value);
    const Json* error = reply.find("error");
    const Json* text = error == nullptr ? nullptr : error->find("desc");
    if (text == nullptr || !text->is_string()) return fail("{} answers '{}' with no result", peer_, request.command);
    const Json* error_class = error->find("class");
    bool classified = error_class != nullptr && error_class->is_string();
    return Answer(std::unexpect, classified ? error_class->as_string() : "", text->as_string());
  }
}

Result<Json> QmpClient::execute(const std::string& command, Json arguments) {
  Answer answer = TRY(ask({.command = command, .arguments = std::move(arguments)}));
  if (!answer) return fail("{} refuses '{}': {}", peer_, command, answer.error().words);
  return std::move(*answer);
}

void QmpClient::take_event(Json event) {
  if (handler_)
    handler_(event);
  else
    events_.push_back(std::move(event));
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

Result<void> QmpClient::receive_events() {
  do {
    while (auto message = TRY(parsed())) {
      if (message->find("event") != nullptr) take_event(std::move(*message));
    }
  } while (TRY(read_more(Patience::of_ms(0))) == Wait::kReadable);
  return {};
}

std::unexpected<Error> QmpClient::lost(int error) {
  closed_ = true;
  if (error == 0) return fail("{} has closed the connection", peer_);
  return fail_errno(error, "{} cannot be reached any more", peer_);
}

Result<void> QmpClient::send(const std::string& line) {
  size_t sent = 0;
  while (sent < line.size()) {
    if (TRY(wait_for(socket_.get(), POLLOUT, patience_)) == Ready::kTimeout) {
      return fail("{} does not read what it is sent", peer_);
    }
    ssize_t size = ::send(socket_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (size < 0) return lost(errno);
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
  if (size <= 0) return lost(size < 0 ? errno : 0);
  reader_.feed({buffer.data(), static_cast<size_t>(size)});
  return Wait::kReadable;
}

}  // namespace pagurus::ctl
