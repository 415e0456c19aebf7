#include "monitor/monitor.h"

#include "base/log.h"
#include "monitor/protocol.h"

namespace pagurus::monitor {

using qapi::Json;

namespace {

constexpr size_t kMaxSessions = 32;

}  // namespace

Monitor::Monitor(Services services) : services_(services), commands_(make_commands(services)) {}

Monitor::~Monitor() {
  services_.migration.set_observer({});
  services_.machine.remove_observer(*this);
}

Result<std::unique_ptr<Monitor>> Monitor::create(Services services, const std::vector<Endpoint>& endpoints) {
  std::unique_ptr<Monitor> monitor(new Monitor(services));
  services.machine.add_observer(*monitor);
  services.migration.set_observer(
      [self = monitor.get()](migration::Status status, int64_t at_ns) { self->on_migration_status(status, at_ns); });
  for (const Endpoint& endpoint : endpoints) TRY(monitor->open(endpoint));
  return monitor;
}

Result<void> Monitor::open(const Endpoint& endpoint) {
  switch (endpoint.kind) {
    case Endpoint::Kind::kStdio: {
      auto input = TRY(duplicate(0));
      auto output = TRY(duplicate(1));
      return add_session({std::move(input), std::move(output)});
    }
    case Endpoint::Kind::kConnected: return add_session({UniqueFd(endpoint.fd), UniqueFd()});
    case Endpoint::Kind::kListen: break;
  }
  bool incoming = services_.machine.config().incoming;
  auto listener = TRY(Listener::create(services_.loop, endpoint.path,
                                       incoming ? Listener::Start::kIncoming : Listener::Start::kNewGuest,
                                       [this](UniqueFd client) { add_client(std::move(client)); }));
  // In a destination, what is not pending is opened already, and the source must not be asked for
  // it; it is offered later, when this process is the source of the next hand-over.
  bool offer = listener->pending() || !incoming;
  listeners_.push_back({std::move(listener), offer});
  Listener& added = *listeners_.back().listener;
  if (offer) services_.migration.add_movable(added.transfer_name(), added);
  return {};
}

void Monitor::offer_listeners() {
  for (auto& [listener, offered] : listeners_) {
    if (offered) continue;
    services_.migration.add_movable(listener->transfer_name(), *listener);
    offered = true;
  }
}

Result<void> Monitor::add_session(Stream stream) {
  auto on_closed = [this] {
    // The session is in the middle of a call: it is destroyed from the loop.
    auto timer = services_.loop.after(0, [this] { remove_closed_sessions(); });
    if (timer) reaper_ = std::move(*timer);
  };
  sessions_.push_back(TRY(Session::create(services_.loop, std::move(stream), commands_, std::move(on_closed))));
  return {};
}

void Monitor::add_client(UniqueFd client) {
  if (sessions_.size() >= kMaxSessions) {
    log_warning("a QMP client is turned away: {} are connected already", sessions_.size());
    return;
  }
  if (auto added = add_session({std::move(client), UniqueFd()}); !added) {
    log_warning("a QMP client is turned away: {}", added.error().message());
  }
}

void Monitor::remove_closed_sessions() {
  std::erase_if(sessions_, [](const auto& session) { return session->closed(); });
}

void Monitor::emit(std::string_view name, Json data, int64_t at_ns) {
  Json message = event(name, std::move(data), at_ns);
  for (auto& session : sessions_) session->send_event(message);
}

void Monitor::on_migration_status(migration::Status status, int64_t at_ns) {
  if (services_.migration.capabilities().events) {
    emit("MIGRATION", Json::object({{"status", migration::name_of(status)}}), at_ns);
  }
  if (status == migration::Status::kCompleted) offer_listeners();
  if (migration_hook_) migration_hook_(status);
}

void Monitor::on_stop(int64_t at_ns) { emit("STOP", Json(), at_ns); }

void Monitor::on_resume(int64_t at_ns) { emit("RESUME", Json(), at_ns); }

void Monitor::on_reset(int64_t at_ns, bool by_guest) {
  const char* reason = by_guest ? "guest-reset" : "host-qmp-system-reset";
  emit("RESET", Json::object({{"guest", by_guest}, {"reason", reason}}), at_ns);
}

void Monitor::on_shutdown(int64_t at_ns, bool by_guest, const std::string& reason) {
  emit("SHUTDOWN", Json::object({{"guest", by_guest}, {"reason", reason}}), at_ns);
}

void Monitor::on_powerdown(int64_t at_ns) { emit("POWERDOWN", Json(), at_ns); }

}  // namespace pagurus::monitor
