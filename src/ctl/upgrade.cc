#include "ctl/upgrade.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "ctl/replies.h"

namespace pagurus::ctl {

using qapi::Json;

namespace {

constexpr int64_t kEventWaitMs = 250;
constexpr int64_t kRollBackMs = 5000;

// One member of a reply.
Result<std::string> ask_string(QmpClient& client, const std::string& command, std::string_view member) {
  Json reply = TRY(client.execute(command));
  return string_member(reply, member);
}

bool transferable(const std::string& state) { return state == "running" || state == "paused" || state == "prelaunch"; }

}  // namespace

Json UpgradeReport::json() const {
  return Json::object({{"old-pid", old_pid},
                       {"new-pid", new_pid},
                       {"binary", binary},
                       {"old-version", old_version},
                       {"new-version", new_version},
                       {"state", state},
                       {"hand-over", handover}});
}

void Upgrade::progress(const std::string& line) const {
  if (options_.progress) options_.progress(line);
}

Result<UpgradeReport> Upgrade::run() {
  struct Step {
    const char* what;
    Result<void> (Upgrade::*run)();
  };
  constexpr Step kSteps[] = {
      {"cannot look at the running process", &Upgrade::inspect},
      {"cannot start the new process", &Upgrade::start},
      {"cannot prepare the hand-over", &Upgrade::agree},
      {"the hand-over failed", &Upgrade::hand_over},
      {"cannot verify that the guest runs in the new process", &Upgrade::verify},
      {"cannot end the old process", &Upgrade::retire},
      {"the new process does not serve the control socket", &Upgrade::reconnect},
  };
  for (const Step& step : kSteps) {
    auto result = (this->*step.run)();
    if (result) continue;
    stop_migrating();
    Error error = explain(std::move(result.error()).while_doing(step.what));
    return std::unexpected(std::move(error).remedy(roll_back()));
  }
  return report_;
}

Result<void> Upgrade::inspect() {
  source_ = TRY(QmpClient::connect(options_.socket, options_.patience));
  Json process = TRY(source_->execute("query-process"));
  report_.old_pid = static_cast<pid_t>(TRY(integer_member(process, "pid")));
  report_.old_version = TRY(string_member(process, "version"));
  command_line_ = TRY(strings_member(process, "command-line"));
  for (const std::string& word : command_line_) {
    // What is not UTF-8 cannot travel in JSON unharmed.
    if (word.find("\xef\xbf\xbd") != std::string::npos) {
      return fail("the command line contains bytes that are not UTF-8, in '{}'", word);
    }
  }
  former_state_ = TRY(ask_string(*source_, "query-status", "status"));
  if (!transferable(former_state_)) {
    return fail("there is no guest to hand over: its state is '{}'", former_state_);
  }
  running_ = TRY(RunningProcess::of(report_.old_pid));
  report_.binary = options_.binary;
  if (report_.binary.empty()) report_.binary = running_->binary();
  if (report_.binary.empty()) report_.binary = command_line_.empty() ? "" : command_line_[0];
  // Absolute, because the new process starts in the old one's directory.
  std::error_code error;
  report_.binary = std::filesystem::absolute(report_.binary, error).string();
  if (access(report_.binary.c_str(), X_OK) < 0) {
    return fail_errno(errno, "'{}' cannot be executed", report_.binary);
  }
  progress(
      fmt::format("process {} (version {}) runs the guest: {}", report_.old_pid, report_.old_version, former_state_));
  return {};
}

Result<UniqueFd> Upgrade::log_fd() {
  if (auto inherited = running_->standard_error()) return inherited;
  std::string path = fmt::format("/tmp/pagurus-{}-XXXXXX.log", report_.old_pid);
  UniqueFd file(mkostemps(path.data(), 4, O_APPEND | O_CLOEXEC));
  if (!file) return fail_errno(errno, "cannot create the log file '{}'", path);
  progress(fmt::format("the old process's standard error is out of reach; the new one logs to '{}'", path));
  return file;
}

Result<void> Upgrade::start() { return start_with(TRY(log_fd())); }

// The guest's network, if the command line does not tell it any more.
Result<std::optional<NetworkWords>> Upgrade::changed_network() {
  constexpr const char* kQuery = "query-network-options";
  QmpClient::Answer answer = TRY(source_->ask({.command = kQuery}));
  // A process that does not know the question cannot have changed anything.
  if (!answer && answer.error().error_class == "CommandNotFound") return std::nullopt;
  if (!answer) return fail("the old process refuses '{}': {}", kQuery, answer.error().words);
  if (!TRY(boolean_member(*answer, "changed"))) return std::nullopt;
  return NetworkWords{.netdevs = TRY(objects_member(*answer, "netdevs")),
                      .devices = TRY(objects_member(*answer, "devices"))};
}

Result<void> Upgrade::start_with(UniqueFd log) {
  auto network = TRY(changed_network());
  auto arguments = TRY(incoming_arguments(command_line_, report_.binary, network));
  successor_.emplace(TRY(Successor::start(arguments, *running_, std::move(log))));
  report_.new_pid = successor_->pid();
  destination_ = TRY(QmpClient::over(successor_->take_control(), "the new process", options_.patience));
  report_.new_version = TRY(ask_string(*destination_, "query-process", "version"));
  progress(fmt::format("process {} (version {}) is up: {}", report_.new_pid, report_.new_version, report_.binary));
  return {};
}

Result<void> Upgrade::agree() {
  Json capabilities = TRY(source_->execute("query-migrate-capabilities"));
  former_parameters_ = TRY(source_->execute("query-migrate-parameters"));
  former_capabilities_ = capabilities;
  Json events =
      Json::object({{"capabilities", Json::Array{Json::object({{"capability", "events"}, {"state", true}})}}});
  for (QmpClient* client : {&*source_, &*destination_}) {
    TRY(client->execute("migrate-set-capabilities", events));
    TRY(client->execute("migrate-set-parameters", Json::object({{"backend-transfer", true}})));
  }
  directory_.emplace(TRY(PrivateDirectory::create(*running_)));
  TRY(destination_->execute("migrate-incoming", Json::object({{"uri", "unix:" + directory_->socket()}})));
  return {};
}

Result<void> Upgrade::hand_over() {
  migrating_ = true;
  TRY(source_->execute("migrate", Json::object({{"uri", "unix:" + directory_->socket()}})));
  TRY(follow());
  report_.handover = TRY(source_->execute("query-migrate"));
  return {};
}

Result<void> Upgrade::follow() {
  while (!committed_) {
    if (options_.patience.over()) return fail("it did not end in time");
    auto event = TRY(source_->next_event(kEventWaitMs));
    if (!event) {
      // Events may be lost, the state is not; and a dead destination has no other way to tell.
      Json info = TRY(source_->execute("query-migrate"));
      if (info.find("status") == nullptr) continue;
      std::string status = TRY(string_member(info, "status"));
      TRY(note_status(status));
      continue;
    }
    std::string name = TRY(string_member(*event, "event"));
    const Json* data = event->find("data");
    if (name == "STOP" || name == "RESUME") progress("old process: " + name);
    if (name != "MIGRATION" || data == nullptr) continue;
    std::string status = TRY(string_member(*data, "status"));
    progress("old process: " + status);
    TRY(note_status(status));
  }
  return {};
}

Result<void> Upgrade::note_status(const std::string& status) {
  committed_ = status == "completed";
  if (status != "failed" && status != "cancelled") return {};
  Json info = TRY(source_->execute("query-migrate"));
  auto reason = string_member(info, "error-desc");
  return fail("{}", reason ? *reason : "the old process says '" + status + "'");
}

Result<void> Upgrade::verify() {
  std::string expected = former_state_ == "running" ? "running" : "paused";
  Patience soon = options_.patience.at_most_ms(kRollBackMs);
  while (true) {
    report_.state = TRY(ask_string(*destination_, "query-status", "status"));
    if (report_.state == expected || report_.state == former_state_) break;
    if (soon.over()) return fail("its state is '{}', not '{}'", report_.state, expected);
    usleep(5000);
  }
  restore_settings(*destination_);
  progress(fmt::format("new process: the guest is {}", report_.state));
  return {};
}

Result<void> Upgrade::retire() {
  successor_->keep();
  if (options_.old == UpgradeOptions::Old::kKeep) return {};
  TRY(source_->execute("quit"));
  bool ended = TRY(running_->wait_end(options_.patience));
  if (!ended) {
    return fail("process {} was told to quit and is still there", report_.old_pid);
  }
  progress(fmt::format("process {} has ended", report_.old_pid));
  return {};
}

Result<void> Upgrade::reconnect() {
  auto client = TRY(QmpClient::connect(options_.socket, options_.patience));
  Json process = TRY(client.execute("query-process"));
  auto pid = TRY(integer_member(process, "pid"));
  if (pid != report_.new_pid) return fail("process {} answers at '{}'", pid, options_.socket);
  return {};
}

// At once, before anything is explained: every moment more lets the guest go further.
void Upgrade::stop_migrating() {
  if (!migrating_ || committed_) return;
  source_->set_patience(Patience::of_ms(kRollBackMs));
  static_cast<void>(source_->execute("migrate_cancel"));
}

// The guest had left before it could be stopped.
std::string Upgrade::accept_the_move() {
  successor_->keep();
  destination_->set_patience(Patience::of_ms(kRollBackMs));
  auto state = ask_string(*destination_, "query-status", "status");
  std::string text = fmt::format("the guest is {} in the new process {}", state ? *state : "lost", report_.new_pid);
  bool end_old = state && *state != "inmigrate" && options_.old == UpgradeOptions::Old::kEnd;
  if (end_old) static_cast<void>(source_->execute("quit"));
  return text;
}

// The new process's last words, where there are some, say more than a closed connection.
Error Upgrade::explain(const Error& error) {
  std::string obituary = committed_ || !successor_ ? "" : successor_->obituary();
  return Error(error.message() + (obituary.empty() ? "" : "; " + obituary));
}

void Upgrade::restore_settings(QmpClient& client) {
  if (former_capabilities_.is_null()) return;
  // Best effort: these settings matter to the next hand-over only.
  if (const Json* transfer = former_parameters_.find("backend-transfer")) {
    static_cast<void>(client.execute("migrate-set-parameters", Json::object({{"backend-transfer", *transfer}})));
  }
  static_cast<void>(client.execute("migrate-set-capabilities", Json::object({{"capabilities", former_capabilities_}})));
}

// The source's state once it has made up its mind whether it has given the guest away.
Result<std::string> Upgrade::settled_source_state() {
  while (true) {
    std::string state = TRY(ask_string(*source_, "query-status", "status"));
    if (state != "finish-migrate") return state;
    if (source_->patience().over()) return fail("it stays in the middle of the hand-over");
    usleep(10000);
  }
}

void Upgrade::end_successor() {
  if (!successor_) return;
  if (destination_) {
    destination_->set_patience(Patience::of_ms(1000));
    static_cast<void>(destination_->execute("quit"));
    destination_.reset();
  }
  successor_->end();
  successor_.reset();
}

// Undoes what can be undone and says where the guest is.  The person's Ctrl-C does not interrupt
// this, and it has its own time.
std::string Upgrade::roll_back() {
  std::string in_new = fmt::format("the guest runs in the new process {}", report_.new_pid);
  if (committed_) {
    successor_->keep();
    return in_new;
  }
  if (!source_) return "nothing was changed";
  source_->set_patience(Patience::of_ms(kRollBackMs));
  auto state = settled_source_state();
  if (state && migrating_ && *state == "postmigrate") return accept_the_move();
  if (!state && migrating_ && destination_) {
    // The source cannot be asked.  If the guest has arrived, it must not be ended.
    destination_->set_patience(Patience::of_ms(kRollBackMs));
    auto status = ask_string(*destination_, "query-status", "status");
    if (status && *status != "inmigrate") {
      successor_->keep();
      return in_new;
    }
  }
  end_successor();
  if (!state) return "the old process cannot be asked: " + state.error().message();
  if (former_state_ == "running" && *state == "paused" && source_->execute("cont")) state = "running";
  restore_settings(*source_);
  if (former_state_.empty() || *state == former_state_) {
    return fmt::format("the guest is {} in the old process, which is unchanged", *state);
  }
  return fmt::format("the guest was {} and is {} in the old process {}", former_state_, *state, report_.old_pid);
}

}  // namespace pagurus::ctl
