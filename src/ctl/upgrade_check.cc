// `pagurusctl upgrade --check`: would the new binary take this guest?  It is started as for an upgrade and
// compares what the running process says of itself, which decides as at the beginning of a hand-over.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "ctl/replies.h"
#include "ctl/upgrade.h"

namespace pagurus::ctl {

using qapi::Json;

namespace {

// A refusal in its own words: they are the answer that was asked for.
Result<Json> ask(QmpClient& client, const char* who, QmpRequest request) {
  std::string command = request.command;
  QmpClient::Answer answer = TRY(client.ask(std::move(request)));
  if (answer) return std::move(*answer);
  if (answer.error().error_class == "CommandNotFound") {
    return fail("{} does not know the command '{}': only a hand-over would tell", who, command);
  }
  return fail("{}", answer.error().words);
}

Json choice() { return Json::object({{"backend-transfer", true}}); }

std::string list_text(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += ", " + name;
  return text;
}

}  // namespace

std::string CheckReport::text() const {
  std::string result = fmt::format("would be taken: by {} (version {}), from version {}\nwould move: ram{}\n",
                                   parties.binary, parties.new_version, parties.old_version, list_text(moves));
  if (!passed_over.empty()) result += "would be passed over: " + list_text(passed_over).substr(2) + "\n";
  return result;
}

Json CheckReport::json() const {
  return Json::object({{"would-be-taken", true},
                       {"pid", parties.old_pid},
                       {"binary", parties.binary},
                       {"old-version", parties.old_version},
                       {"new-version", parties.new_version},
                       {"moves", Json::strings(moves)},
                       {"passed-over", Json::strings(passed_over)}});
}

Result<CheckReport> Upgrade::check() {
  auto result = [this]() -> Result<CheckReport> {
    TRY_DOING("cannot look at the running process", inspect());
    UniqueFd nowhere(open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (!nowhere) return fail_errno(errno, "cannot open /dev/null");
    TRY_DOING("cannot start the new process", start_with(std::move(nowhere)));
    return compare();
  }();
  Error error = result ? Error("") : explain(result.error());
  end_successor();
  if (!result) return std::unexpected(std::move(error).remedy("nothing was changed"));
  return result;
}

Result<CheckReport> Upgrade::compare() {
  Json manifest = TRY_DOING("the guest would not be handed over",
                            ask(*source_, "the old process", {"query-migrate-manifest", choice()}));
  TRY(destination_->execute("migrate-set-parameters", choice()));
  Json answer = TRY_DOING(
      "the guest would not be taken",
      ask(*destination_, "the new process", {"check-migrate-manifest", Json::object({{"manifest", manifest}})}));
  CheckReport report;
  report.parties = report_;
  report.moves = TRY(strings_member(answer, "wanted"));
  report.passed_over = TRY(strings_member(answer, "unknown"));
  return report;
}

}  // namespace pagurus::ctl
