#include "app/run.h"

#include <csignal>

#include "app/process.h"
#include "base/log.h"
#include "base/named_fds.h"
#include "event/loop.h"
#include "machine/machine.h"
#include "migration/migration.h"
#include "monitor/monitor.h"

namespace pagurus::app {
namespace {

constexpr int kEndingSignals[] = {SIGINT, SIGTERM, SIGHUP};

// Before any thread exists, so that none of them is interrupted by a signal that the loop serves.
void prepare_signals() {
  signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  for (int number : kEndingSignals) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Result<std::vector<event::Watch>> watch_signals(event::Loop& loop, machine::Machine& machine) {
  std::vector<event::Watch> watches;
  for (int number : kEndingSignals) {
    watches.push_back(TRY(loop.on_signal(number, [&machine, number] {
      log_info("ending on signal {}", number);
      machine.quit("host-signal");
    })));
  }
  return watches;
}

Result<void> start_guest(const Invocation& invocation, machine::Machine& machine, migration::Migration& migration) {
  if (invocation.config.incoming) {
    migration.set_stay_paused(invocation.start_paused);
    if (!invocation.incoming_uri) return {};
    return migration.migrate_incoming(*invocation.incoming_uri);
  }
  TRY(machine.power_on());
  if (invocation.start_paused) return {};
  return machine.cont();
}

}  // namespace

Result<int> run(const Invocation& invocation, const monitor::ProcessInfo& process) {
  std::optional<Background> background;
  if (invocation.daemonize) background = TRY(Background::enter());
  prepare_signals();
  if (invocation.log_timestamps) enable_log_timestamps();

  UniqueFd log = TRY(open_log(invocation.log));
  auto loop = TRY(event::Loop::create());
  NamedFds named_fds;
  auto machine = TRY(machine::Machine::create(
      invocation.config, {.loop = *loop, .named_fds = named_fds, .on_exit = [&](int code) { loop->exit(code); }}));
  auto migration =
      migration::Migration::create({.loop = *loop, .machine = *machine, .on_incoming_lost = [&](const Error& error) {
                                      log_error("the guest did not come in: {}", error.message());
                                      loop->exit(1);
                                    }});
  auto monitor = TRY(monitor::Monitor::create(
      {.loop = *loop, .machine = *machine, .migration = *migration, .named_fds = named_fds, .process = process},
      invocation.endpoints));

  PidFile pidfile(invocation.pidfile);
  // An incoming guest still belongs to another process, and so does the pid file.
  if (!invocation.config.incoming) TRY(pidfile.write());
  monitor->set_migration_hook([&, here = invocation.config.incoming](migration::Status status) mutable {
    if (!here || status != migration::Status::kCompleted) return;
    here = false;
    if (auto written = pidfile.write(); !written) log_error("{}", written.error().message());
  });

  auto signals = TRY(watch_signals(*loop, *machine));
  TRY(start_guest(invocation, *machine, *migration));
  if (background) background->report_ready();
  TRY(redirect_log(std::move(log)));
  return loop->run();
}

}  // namespace pagurus::app
