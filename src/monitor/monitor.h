// The QMP server: its listeners, its sessions, and the events of machine and hand-over on their way
// to every session.
//
// Sessions live on the monitor's I/O thread (clients.h); listeners and everything that touches the machine
// live on the control thread, this object too.
//
// Threads: the control thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "machine/machine.h"
#include "migration/migration.h"
#include "monitor/clients.h"
#include "monitor/commands.h"
#include "monitor/io_thread.h"
#include "monitor/listener.h"

namespace pagurus::monitor {

// Where QMP is spoken: one of -qmp, or -chardev with -mon.
struct Endpoint {
  enum class Kind { kListen, kStdio, kConnected };
  Kind kind;
  std::string path;  // kListen
  int fd = -1;       // kConnected: taken over
  Session::Style style = Session::Style::kCompact;
};

class Monitor : private machine::MachineObserver {
 public:
  // services: outlive the monitor.
  static Result<std::unique_ptr<Monitor>> create(Services services, const std::vector<Endpoint>& endpoints);
  ~Monitor() override;

  // What else the process does when the status of a hand-over changes; called after the event.
  void set_migration_hook(std::function<void(migration::Status)> hook) { migration_hook_ = std::move(hook); }

  // To every negotiated session.  at_ns: CLOCK_REALTIME.
  void emit(qapi::Event event, int64_t at_ns) { clients_->post_event(std::move(event), at_ns); }

 private:
  Monitor(Services services, std::unique_ptr<IoThread> io);
  Result<void> open(const Endpoint& endpoint);
  void on_migration_status(migration::Status status, int64_t at_ns);
  void offer_listeners();

  void on_stop(int64_t at_ns) override;
  void on_resume(int64_t at_ns) override;
  void on_reset(int64_t at_ns, bool by_guest) override;
  void on_shutdown(int64_t at_ns, bool by_guest, const std::string& reason) override;
  void on_powerdown(int64_t at_ns) override;
  void on_device_deleted(int64_t at_ns, const std::string& id) override;
  void on_netdev_connected(int64_t at_ns, const std::string& netdev, const schema::SocketAddress& peer) override;
  void on_netdev_disconnected(int64_t at_ns, const std::string& netdev) override;
  void on_rx_filter_changed(int64_t at_ns, const std::string& id) override;
  void on_vhost_user_connected(int64_t at_ns, const std::string& netdev, const std::string& chardev) override;
  void on_vhost_user_disconnected(int64_t at_ns, const std::string& netdev) override;

  struct OfferedListener {
    std::unique_ptr<Listener> listener;
    bool offered = false;  // known to the migration
  };

  Services services_;
  Commands commands_;
  std::unique_ptr<IoThread> io_;
  // Sessions of the command line are added before the I/O thread starts.
  std::unique_ptr<Clients> clients_;
  std::vector<OfferedListener> listeners_;
  std::function<void(migration::Status)> migration_hook_;
};

}  // namespace pagurus::monitor
