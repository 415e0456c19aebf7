// `pagurusctl upgrade`: a new process for a running guest, in one go.
//
// Steps:
//
//   inspect ─▶ start ─▶ agree ─▶ hand over ─▶ verify ─▶ retire ─▶ reconnect
//                                    │
//          before the commit:        │  after it:
//          everything is undone,     │  the guest is in the new process; what is left undone is
//          the guest stays           │  reported, and nothing is ended that may own the guest
//
// The commit is the source's: once it is in `postmigrate`, the guest is elsewhere.
//
// A check is inspect and start, and then only a comparison: the guest and the source's settings are not
// touched (upgrade_check.cc).
//
// Threads: one.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ctl/incoming_arguments.h"
#include "ctl/private_directory.h"
#include "ctl/qmp_client.h"
#include "ctl/running_process.h"
#include "ctl/successor.h"

namespace pagurus::ctl {

struct UpgradeOptions {
  std::string socket;
  std::string binary;  // empty: that of the running process
  enum class Old { kEnd, kKeep } old = Old::kEnd;
  Patience patience;
  // Told each phase as it is reached, as one line.
  std::function<void(const std::string&)> progress;
};

struct UpgradeReport {
  pid_t old_pid = 0;
  pid_t new_pid = 0;
  std::string binary;
  std::string old_version;
  std::string new_version;
  std::string state;    // of the guest, in the new process
  qapi::Json handover;  // the source's query-migrate

  qapi::Json json() const;
};

// The new process would take the guest.
struct CheckReport {
  UpgradeReport parties;
  std::vector<std::string> moves;        // back ends and what else would move, besides RAM
  std::vector<std::string> passed_over;  // optional parts of the state that it does not know

  std::string text() const;
  qapi::Json json() const;
};

class Upgrade {
 public:
  explicit Upgrade(UpgradeOptions options) : options_(std::move(options)) {}

  // Each once, and one of them.
  Result<UpgradeReport> run();
  Result<CheckReport> check();

 private:
  Result<void> inspect();
  Result<void> start();
  Result<void> agree();
  Result<void> hand_over();
  Result<void> follow();
  Result<void> note_status(const std::string& status);
  Result<void> verify();
  Result<void> retire();
  Result<void> reconnect();
  Result<CheckReport> compare();

  Result<void> start_with(UniqueFd log);
  Result<std::optional<NetworkWords>> changed_network();
  Result<UniqueFd> log_fd();
  Error explain(const Error& error);
  void stop_migrating();
  std::string roll_back();
  std::string accept_the_move();
  Result<std::string> settled_source_state();
  void restore_settings(QmpClient& client);
  void end_successor();
  void progress(const std::string& line) const;

  UpgradeOptions options_;
  UpgradeReport report_;
  std::optional<QmpClient> source_;
  std::optional<RunningProcess> running_;
  std::optional<Successor> successor_;
  std::optional<QmpClient> destination_;
  std::vector<std::string> command_line_;
  std::optional<PrivateDirectory> directory_;  // of the migration socket
  std::string former_state_;                   // of the source
  qapi::Json former_parameters_;
  qapi::Json former_capabilities_;  // null until changed
  bool migrating_ = false;          // `migrate` has been sent
  bool committed_ = false;
};

}  // namespace pagurus::ctl
