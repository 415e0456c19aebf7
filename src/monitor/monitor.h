// The QMP server: its listeners, its sessions, and the events of machine and hand-over on their way
// to every session.
//
// Threads: the control thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "machine/machine.h"
#include "migration/migration.h"
#include "monitor/command.h"
#include "monitor/commands.h"
#include "monitor/listener.h"
#include "monitor/session.h"

namespace pagurus::monitor {

// Where QMP is spoken: one of -qmp, or -chardev with -mon.
struct Endpoint {
  enum class Kind { kListen, kStdio, kConnected };
  Kind kind;
  std::string path;  // kListen
  int fd = -1;       // kConnected: taken over
};

class Monitor : private machine::MachineObserver {
 public:
  // services: outlive the monitor.
  static Result<std::unique_ptr<Monitor>> create(Services services, const std::vector<Endpoint>& endpoints);
  ~Monitor() override;

  // What else the process does when the status of a hand-over changes; called after the event.
  void set_migration_hook(std::function<void(migration::Status)> hook) { migration_hook_ = std::move(hook); }

  // To every negotiated session.  data: null or an object.
  void emit(std::string_view name, qapi::Json data, int64_t at_ns);

 private:
  explicit Monitor(Services services);
  Result<void> open(const Endpoint& endpoint);
  Result<void> add_session(Stream stream);
  void add_client(UniqueFd client);
  void remove_closed_sessions();
  void on_migration_status(migration::Status status, int64_t at_ns);
  void offer_listeners();

  void on_stop(int64_t at_ns) override;
  void on_resume(int64_t at_ns) override;
  void on_reset(int64_t at_ns, bool by_guest) override;
  void on_shutdown(int64_t at_ns, bool by_guest, const std::string& reason) override;
  void on_powerdown(int64_t at_ns) override;

  struct OfferedListener {
    std::unique_ptr<Listener> listener;
    bool offered = false;  // known to the migration
  };

  Services services_;
  CommandTable commands_;
  std::vector<OfferedListener> listeners_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::function<void(migration::Status)> migration_hook_;
  event::Watch reaper_;  // set while a closed session waits to be destroyed
};

}  // namespace pagurus::monitor
