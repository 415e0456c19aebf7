#include "ctl/connection.h"

#include <poll.h>

#include "ctl/replies.h"
#include "ctl/requests.h"

namespace pagurus::ctl {
namespace {

constexpr int64_t kReopenMs = 5000;
constexpr int kRetryMs = 50;

std::string describe(const qapi::Json& process) {
  auto pid = integer_member(process, "pid");
  auto version = string_member(process, "version");
  if (!pid || !version) return "a process";
  return fmt::format("process {}, version {}", *pid, *version);
}

}  // namespace

Result<Connection> Connection::open(Options options) {
  Connection connection(std::move(options));
  auto patience = Patience::of_ms(connection.options_.timeout_ms, connection.options_.interrupt_fd);
  TRY(connection.connect(patience));
  return connection;
}

Result<void> Connection::connect(Patience patience) {
  client_ = TRY(QmpClient::connect(options_.path, patience, QmpClient::Bands::kOutOfBand));
  if (options_.on_event) client_->set_event_handler(options_.on_event);
  introspection_ = TRY(introspect(*client_));
  auto process = TRY(client_->ask({.command = "query-process"}));
  server_ = describe(process ? *process : qapi::Json());
  return {};
}

Result<QmpClient::Answer> Connection::ask(QmpRequest request) {
  client_->set_patience(Patience::of_ms(options_.timeout_ms, options_.interrupt_fd));
  return client_->ask(std::move(request));
}

Result<void> Connection::reopen() {
  auto patience = Patience::of_ms(kReopenMs, options_.interrupt_fd);
  while (true) {
    auto result = connect(patience);
    if (result || patience.over()) return result;
    pollfd polled{options_.interrupt_fd, POLLIN, 0};
    if (poll(&polled, 1, kRetryMs) > 0) return fail("interrupted");
  }
}

}  // namespace pagurus::ctl
