#include "monitor/session.h"

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "base/log.h"
#include "qapi/json_input.h"
#include "schema/control_commands.h"

namespace pagurus::monitor {
namespace {

using qapi::Json;

constexpr size_t kMaxFdsHeld = 64;

// A watch that waits for nothing must be off: an end of the stream is reported whatever was asked for.
void watch_for(event::Watch& watch, uint32_t events) {
  if (events != 0) watch.set_events(events);
  watch.set_enabled(events != 0);
}

void append(std::vector<UniqueFd>& fds, std::vector<UniqueFd> more) {
  fds.insert(fds.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

std::unexpected<Error> not_found(const std::string& why) {
  return std::unexpected(Error(why, ErrorClass::kCommandNotFound));
}

}  // namespace

Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::create(Environment environment, Stream stream) {
  std::unique_ptr<Session> session(new Session(std::move(environment), std::move(stream)));
  TRY(session->start());
  return session;
}

Result<void> Session::start() {
  event::Loop& loop = environment_.loop;
  auto input = loop.watch_fd(stream_.input.get(), EPOLLIN, [this](uint32_t events) { on_ready(events); });
  if (!input) {
    return fail("cannot read QMP commands from a regular file (use a socket, a pipe or a terminal)");
  }
  input_watch_ = std::move(*input);
  if (stream_.output) {
    // A regular file as output cannot be watched and is never busy.
    auto output = loop.watch_fd(stream_.output.get(), EPOLLOUT, [this](uint32_t) { on_writable(); });
    if (output) output_watch_ = std::move(*output);
  }
  send_message(greeting());
  if (state_ != State::kClosed) update_watches();
  return {};
}

// --- From the client --------------------------------------------------------------------------

void Session::on_ready(uint32_t events) {
  // A hang-up alone is noticed by whichever of the two is waited for.
  bool to_write = !output_watch_ && !queue_.empty();
  if (to_write && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) return on_writable();
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_some();
}

void Session::on_writable() {
  flush();
  advance();
}

void Session::read_some() {
  std::array<char, 16384> buffer;
  auto [size, fds] = stream_.read(buffer);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size < 0) return close(End::kClient);
  keep(std::move(fds));
  if (size == 0)
    input_ended_ = true;
  else
    reader_.feed({buffer.data(), static_cast<size_t>(size)});
  advance();
}

void Session::keep(std::vector<UniqueFd> fds) {
  size_t room = kMaxFdsHeld - std::min(kMaxFdsHeld, held_fds());
  if (fds.size() > room) fds.resize(room);
  append(arrived_, std::move(fds));
}

size_t Session::held_fds() const {
  size_t count = arrived_.size() + unclaimed_.size();
  for (const Item& item : waiting_) count += item.fds.size();
  return count;
}

// --- Requests ---------------------------------------------------------------------------------

void Session::advance() {
  while (state_ != State::kClosed && queue_.empty()) {
    if (!running_ && !waiting_.empty()) {
      start_next();
      continue;
    }
    if (in_flight() >= kMaxInFlight) break;
    auto message = reader_.next();
    if (!message) break;
    take(std::move(*message));
  }
  if (state_ == State::kClosed) return;
  // The rest of a message that is half read may have come with them.
  if (in_flight() == 0 && reader_.idle()) unclaimed_.clear();
  if (input_ended_ && all_answered()) return close(End::kClient);
  update_watches();
}

void Session::take(Result<Json> message) {
  Item item{.request = Request{}, .id = {}, .fds = std::exchange(arrived_, {})};
  if (!message) {
    item.request = std::unexpected(std::move(message.error()));
  } else {
    if (const Json* id = message->find("id")) item.id = *id;
    item.request = parse_request(*message);
  }
  bool out_of_band = item.request && item.request->lane == Request::Lane::kOutOfBand;
  if (out_of_band && oob_enabled_) return overtake(std::move(item));
  if (out_of_band) {
    item.request = fail(
        "QMP input member 'exec-oob' needs the capability 'oob': name it in 'enable' of qmp_capabilities, or use "
        "'execute'");
  }
  waiting_.push_back(std::move(item));
}

void Session::start_next() {
  Item item = std::move(waiting_.front());
  waiting_.pop_front();
  append(unclaimed_, std::move(item.fds));
  if (!item.request) return reply(std::unexpected(std::move(item.request.error())), item.id);
  if (auto answer = answer_here(*item.request)) return reply(*answer, item.id);
  running_ = Running{std::move(item.id), environment_.commands.find(item.request->command)->success_response};
  environment_.execute(
      {std::move(item.request->command), std::move(item.request->arguments), std::exchange(unclaimed_, {})});
}

std::optional<Result<Json>> Session::answer_here(const Request& request) {
  if (request.command == "qmp_capabilities") return negotiate(request.arguments);
  if (state_ == State::kGreeted) {
    return not_found("Expecting capabilities negotiation with 'qmp_capabilities'");
  }
  if (environment_.commands.find(request.command) == nullptr) {
    return not_found("The command " + request.command + " has not been found");
  }
  return std::nullopt;
}

Result<Json> Session::negotiate(const Json& arguments) {
  if (state_ == State::kNegotiated) return not_found("Capabilities negotiation is already complete, command ignored");
  auto wanted = TRY(qapi::from_json<schema::QmpCapabilitiesArguments>(arguments));
  if (wanted.enable) oob_enabled_ = std::ranges::count(*wanted.enable, schema::QMPCapability::kOob) != 0;
  state_ = State::kNegotiated;
  return Json::object();
}

void Session::overtake(Item item) {
  auto result = execute_out_of_band(item);
  append(unclaimed_, std::move(item.fds));
  reply(result, item.id);
}

Result<Json> Session::execute_out_of_band(Item& item) {
  if (auto answer = answer_here(*item.request)) return std::move(*answer);
  const std::string& command = item.request->command;
  if (!environment_.commands.find(command)->oob) {
    return fail("The command {} cannot be executed out of band (use 'execute')", command);
  }
  qapi::Call call{item.fds};
  return environment_.commands.execute(command, call, item.request->arguments);
}

void Session::complete(Outcome outcome) {
  CHECK(running_.has_value(), "a job is completed once");
  Running done = *std::exchange(running_, std::nullopt);
  if (state_ == State::kClosed) return;
  append(unclaimed_, std::move(outcome.fds));
  if (!outcome.result || done.success_response) reply(outcome.result, done.id);
  advance();
}

// --- To the client ----------------------------------------------------------------------------

void Session::reply(const Result<Json>& result, const std::optional<Json>& id) {
  send_message(result ? success_reply(*result, id) : error_reply(result.error(), id));
}

std::string Session::text_of(const Json& message, Style style) {
  return (style == Style::kPretty ? message.pretty_text() : message.text()) + "\r\n";
}

void Session::send_event(std::string_view text) {
  if (state_ != State::kNegotiated) return;
  if (queue_.size() + text.size() > kMaxQueue) {
    log_warning("a QMP client does not read what it is sent; its connection is closed");
    return close(End::kTooSlow);
  }
  send(text);
  // It may have taken with it what a request waited for.
  advance();
}

// Replies have no limit of their own: there is one at most while others wait.
void Session::send(std::string_view text) {
  if (state_ == State::kClosed) return;
  queue_ += text;
  flush();
}

void Session::flush() {
  size_t sent = 0;
  while (sent < queue_.size()) {
    ssize_t size = stream_.write(std::string_view(queue_).substr(sent));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) break;
    if (size < 0) return close(End::kClient);
    sent += static_cast<size_t>(size);
  }
  queue_.erase(0, sent);
}

void Session::update_watches() {
  bool to_read = !input_ended_ && queue_.empty() && in_flight() < kMaxInFlight;
  uint32_t input = to_read ? uint32_t{EPOLLIN} : 0;
  uint32_t output = queue_.empty() ? 0 : uint32_t{EPOLLOUT};
  if (output_watch_) {
    watch_for(input_watch_, input);
    watch_for(output_watch_, output);
  } else {
    watch_for(input_watch_, input | output);
  }
}

void Session::close(End end) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  input_watch_ = event::Watch();
  output_watch_ = event::Watch();
  queue_.clear();
  waiting_.clear();
  arrived_.clear();
  unclaimed_.clear();
  environment_.on_closed(end);
}

}  // namespace pagurus::monitor
