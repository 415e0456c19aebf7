#include "monitor/monitor.h"

#include "monitor/to_schema.h"
#include "schema/machine_events.h"
#include "schema/migration_events.h"
#include "schema/net_events.h"
#include "schema/run_state_events.h"

namespace pagurus::monitor {

Monitor::Monitor(Services services, std::unique_ptr<IoThread> io)
    : services_(services),
      commands_(services),
      io_(std::move(io)),
      clients_(std::make_unique<Clients>(
          Clients::Environment{.loop = io_->loop(), .control = services.loop, .commands = commands_.table()})) {}

Monitor::~Monitor() {
  services_.migration.set_observer({});
  services_.machine.remove_observer(*this);
  // The last replies and events are sent by then.
  io_->stop([this] { clients_->finish(); });
}

Result<std::unique_ptr<Monitor>> Monitor::create(Services services, const std::vector<Endpoint>& endpoints) {
  auto io = TRY(IoThread::create());
  std::unique_ptr<Monitor> monitor(new Monitor(services, std::move(io)));
  services.machine.add_observer(*monitor);
  services.migration.set_observer(
      [self = monitor.get()](migration::Status status, int64_t at_ns) { self->on_migration_status(status, at_ns); });
  for (const Endpoint& endpoint : endpoints) TRY(monitor->open(endpoint));
  monitor->io_->start();
  return monitor;
}

Result<void> Monitor::open(const Endpoint& endpoint) {
  switch (endpoint.kind) {
    case Endpoint::Kind::kStdio: {
      auto input = TRY(duplicate(0));
      auto output = TRY(duplicate(1));
      return clients_->add({std::move(input), std::move(output)}, endpoint.style);
    }
    case Endpoint::Kind::kConnected: return clients_->add({UniqueFd(endpoint.fd), UniqueFd()}, endpoint.style);
    case Endpoint::Kind::kListen: break;
  }
  bool incoming = services_.machine.config().incoming;
  auto listener = TRY(Listener::create(
      services_.loop, endpoint.path, incoming ? Listener::Start::kIncoming : Listener::Start::kNewGuest,
      [this, style = endpoint.style](UniqueFd client) { clients_->post_client(std::move(client), style); }));
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

void Monitor::on_migration_status(migration::Status status, int64_t at_ns) {
  if (services_.migration.capabilities().events) {
    emit(schema::migration_event({.status = to_schema<schema::MigrationStatus>(migration::name_of(status))}), at_ns);
  }
  if (status == migration::Status::kCompleted) offer_listeners();
  if (migration_hook_) migration_hook_(status);
}

void Monitor::on_stop(int64_t at_ns) { emit(schema::stop_event(), at_ns); }

void Monitor::on_resume(int64_t at_ns) { emit(schema::resume_event(), at_ns); }

void Monitor::on_reset(int64_t at_ns, bool by_guest) {
  using enum schema::ShutdownCause;
  emit(schema::reset_event({.guest = by_guest, .reason = by_guest ? kGuestReset : kHostQmpSystemReset}), at_ns);
}

void Monitor::on_shutdown(int64_t at_ns, bool by_guest, const std::string& reason) {
  emit(schema::shutdown_event({.guest = by_guest, .reason = to_schema<schema::ShutdownCause>(reason)}), at_ns);
}

void Monitor::on_powerdown(int64_t at_ns) { emit(schema::powerdown_event(), at_ns); }

void Monitor::on_device_deleted(int64_t at_ns, const std::string& id) {
  emit(schema::device_deleted_event({.device = id, .path = "/machine/peripheral/" + id}), at_ns);
}

void Monitor::on_netdev_connected(int64_t at_ns, const std::string& netdev, const schema::SocketAddress& peer) {
  emit(schema::netdev_stream_connected_event({.netdev_id = netdev, .addr = peer}), at_ns);
}

void Monitor::on_netdev_disconnected(int64_t at_ns, const std::string& netdev) {
  emit(schema::netdev_stream_disconnected_event({.netdev_id = netdev}), at_ns);
}

void Monitor::on_rx_filter_changed(int64_t at_ns, const std::string& id) {
  emit(schema::nic_rx_filter_changed_event({.name = id, .path = "/machine/peripheral/" + id}), at_ns);
}

void Monitor::on_vhost_user_connected(int64_t at_ns, const std::string& netdev, const std::string& chardev) {
  emit(schema::netdev_vhost_user_connected_event({.netdev_id = netdev, .chardev_id = chardev}), at_ns);
}

void Monitor::on_vhost_user_disconnected(int64_t at_ns, const std::string& netdev) {
  emit(schema::netdev_vhost_user_disconnected_event({.netdev_id = netdev}), at_ns);
}

}  // namespace pagurus::monitor
