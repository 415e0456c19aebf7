#include "ctl/analyze/live_stream.h"

#include <unistd.h>

#include "ctl/replies.h"
#include "ctl/running_process.h"

namespace pagurus::ctl {

using qapi::Json;

namespace {

constexpr int64_t kRestoreMs = 5000;

bool is_on(const Json& capabilities, std::string_view name) {
  if (!capabilities.is_array()) return false;
  for (const Json& entry : capabilities.as_array()) {
    const Json* capability = entry.find("capability");
    const Json* state = entry.find("state");
    if (capability != nullptr && state != nullptr && *capability == Json(name)) return *state == Json(true);
  }
  return false;
}

}  // namespace

Result<LiveStream> LiveStream::of(const std::string& qmp_socket, const Patience& patience) {
  return LiveStream(TRY(QmpClient::connect(qmp_socket, patience)));
}

Result<void> LiveStream::print(StreamPrinter& printer) {
  auto result = prepare();
  if (result) result = watch(printer);
  // The person's Ctrl-C does not interrupt this, and it has its own time.
  source_.set_patience(Patience::of_ms(kRestoreMs));
  auto settled = migrating_ ? settle() : Result<void>();
  restore();
  TRY(result);
  return settled;
}

Result<void> LiveStream::set_capability(const std::string& name, bool state) {
  Json entry = Json::object({{"capability", name}, {"state", state}});
  TRY(source_.execute("migrate-set-capabilities", Json::object({{"capabilities", Json::Array{std::move(entry)}}})));
  return {};
}

Result<void> LiveStream::prepare() {
  Json capabilities = TRY(source_.execute("query-migrate-capabilities"));
  Json parameters = TRY(source_.execute("query-migrate-parameters"));
  const Json* transfer = parameters.find("backend-transfer");
  // The capability contradicts any other choice of back ends than its own.
  if (transfer != nullptr && !is_on(capabilities, "local-tap")) {
    TRY(source_.execute("migrate-set-parameters", Json::object({{"backend-transfer", true}})));
    former_transfer_ = *transfer;
  }
  if (is_on(capabilities, "pause-before-switchover")) {
    TRY(set_capability("pause-before-switchover", false));
    paused_before_switchover_ = true;
  }
  return {};
}

Result<void> LiveStream::watch(StreamPrinter& printer) {
  Json process = TRY(source_.execute("query-process"));
  auto pid = static_cast<pid_t>(TRY(integer_member(process, "pid")));
  auto running = TRY(RunningProcess::of(pid));
  auto directory = TRY(PrivateDirectory::create(running));
  auto onlooker = TRY(Onlooker::listen(directory.socket()));
  if (geteuid() == 0 && running.uid() != 0) TRY(onlooker.give_to(running.uid(), running.gid()));
  migrating_ = true;
  TRY(source_.execute("migrate", Json::object({{"uri", "unix:" + directory.socket()}})));
  return onlooker.watch(printer, source_.patience());
}

// The migration is over: the channel has ended, and the source with it.
Result<void> LiveStream::settle() {
  while (true) {
    Json info = TRY(source_.execute("query-migrate"));
    const Json* status = info.find("status");
    if (status == nullptr || *status == Json("failed") || *status == Json("cancelled") ||
        *status == Json("completed")) {
      return {};
    }
    if (source_.patience().over()) return fail("the migration does not end: see query-migrate");
    usleep(2000);
  }
}

// Best effort: these settings matter to the next hand-over only.
void LiveStream::restore() {
  if (former_transfer_) {
    static_cast<void>(
        source_.execute("migrate-set-parameters", Json::object({{"backend-transfer", *former_transfer_}})));
  }
  if (paused_before_switchover_) static_cast<void>(set_capability("pause-before-switchover", true));
}

}  // namespace pagurus::ctl
