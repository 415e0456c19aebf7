#include "migration/connection.h"

#include "base/clock.h"

namespace pagurus::migration {
namespace {

constexpr uint64_t kPatienceUs = 1'000'000;
// A peer that sends faster than its messages are handled must not keep others from the loop.
constexpr int64_t kTurnNs = 20'000'000;

}  // namespace

Result<std::unique_ptr<Connection>> Connection::create(event::Loop& loop, wire::Channel channel, std::string peer,
                                                       Callbacks callbacks) {
  std::unique_ptr<Connection> connection(
      new Connection(loop, std::move(channel), std::move(peer), std::move(callbacks)));
  TRY(connection->start());
  return connection;
}

Result<void> Connection::start() {
  Connection* self = this;
  if (!channel_.answers()) return {};
  socket_watch_ = TRY(loop_.watch_fd(channel_.fd(), EPOLLIN, [self](uint32_t events) { self->on_ready(events); }));
  if (channel_.peer_pidfd() < 0) return {};
  death_watch_ = TRY(loop_.watch_fd(channel_.peer_pidfd(), EPOLLIN, [self](uint32_t) { self->on_death(); }));
  return {};
}

Result<void> Connection::flush() {
  TRY(channel_.flush());
  bool waits = !channel_.drained();
  if (waits == waits_to_write_) return {};
  waits_to_write_ = waits;
  socket_watch_.set_events(waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
  return {};
}

void Connection::on_ready(uint32_t events) {
  if ((events & EPOLLOUT) != 0) {
    // Why the peer hung up is among what it sent.
    if (auto flushed = flush(); !flushed) return give_up(flushed.error());
    if (channel_.drained() && closing_) return close();
    if (channel_.drained() && callbacks_.on_drained) callbacks_.on_drained();
  }
  deliver();
}

void Connection::deliver() {
  next_read_ = event::Watch();
  int64_t end_ns = monotonic_ns() + kTurnNs;
  while (open_ && !closing_) {
    auto message = channel_.try_receive();
    int64_t received_ns = monotonic_ns();
    if (!message) return lose(message.error());
    if (!*message) return;
    callbacks_.on_message(std::move(**message), received_ns);
    if (!open_ || received_ns < end_ns) continue;
    // The loop does not know of messages that have been received with this one.
    Connection* self = this;
    auto next = loop_.after(0, [self] { self->deliver(); });
    if (!next) return lose(next.error());
    next_read_ = *std::move(next);
    return;
  }
}

Result<void> Connection::read_file() {
  Connection* self = this;
  next_read_ = TRY(loop_.after(0, [self] { self->read_next(); }));
  return {};
}

void Connection::read_next() {
  auto message = channel_.try_receive();
  if (!message) return lose(message.error());
  if (*message) callbacks_.on_message(std::move(**message), monotonic_ns());
  if (!open_) return;
  if (auto reading = read_file(); !reading) lose(reading.error());
}

void Connection::give_up(const Error& why) {
  channel_.stop_receiving();
  while (open_ && !closing_) {
    auto message = channel_.try_receive();
    if (!message || !*message) break;
    callbacks_.on_message(std::move(**message), monotonic_ns());
  }
  lose(why);
}

void Connection::on_death() {
  // What it said before it died may tell why.
  give_up(Error(peer_ + " process died"));
}

void Connection::lose(const Error& why) {
  if (!open_) return;
  if (closing_) return close();
  open_ = false;
  socket_watch_ = event::Watch();
  death_watch_ = event::Watch();
  next_read_ = event::Watch();
  callbacks_.on_lost(why);
}

void Connection::close_and_watch(std::function<void()> on_death) {
  auto pidfd = channel_.take_peer_pidfd();
  close();
  if (!pidfd) return;
  watched_ = std::move(pidfd);
  auto watch = loop_.watch_fd(watched_.get(), EPOLLIN, [this, on_death = std::move(on_death)](uint32_t) {
    auto tell = on_death;
    death_watch_ = event::Watch();
    tell();
  });
  // Best effort: nothing depends on it.
  if (watch) death_watch_ = *std::move(watch);
}

void Connection::close_when_drained() {
  if (!open_ || !channel_.answers() || channel_.drained()) return close();
  closing_ = true;
  // What the peer still sends is read by nobody.
  socket_watch_.set_events(EPOLLOUT);
  Connection* self = this;
  auto patience = loop_.after(kPatienceUs, [self] { self->close(); });
  if (!patience) return close();
  patience_ = *std::move(patience);
}

void Connection::close() {
  open_ = false;
  patience_ = event::Watch();
  socket_watch_ = event::Watch();
  death_watch_ = event::Watch();
  next_read_ = event::Watch();
  channel_.close();
}

}  // namespace pagurus::migration
