// Options about this process: where it runs, where it writes, and what it prints instead of running.
#include "app/option.h"
#include "machine/machine.h"

namespace pagurus::app {
namespace {

using Count = Option::Count;

Result<void> print_help(Draft& draft, const std::string&) {
  draft.invocation.print = help_text();
  return {};
}

Result<void> set_display(Draft&, const std::string& value) {
  if (value == "none") return {};
  return fail("-display: '{}' is not supported: the machine has no display; 'none' says so", value);
}

Result<void> set_log_file(Draft& draft, const std::string& value) {
  if (value.empty()) return fail("-D: the file's name is empty");
  constexpr std::string_view kFd = "fd:";
  if (!value.starts_with(kFd)) {
    draft.invocation.log.path = value;
    return {};
  }
  auto options = TRY(qapi::Options::parse("fd=" + value.substr(kFd.size()), "", "-D"));
  auto fd = TRY(options.take_uint("fd", 3, 1'000'000));
  draft.invocation.log.fd = static_cast<int>(fd.value_or(0));
  return options.finish();
}

Result<void> set_messages(Draft& draft, const std::string& value) {
  auto options = TRY(qapi::Options::parse(value, "", "-msg"));
  draft.invocation.log_timestamps = TRY(options.take_bool("timestamp")).value_or(false);
  return options.finish();
}

Result<void> accept_as_is(Draft&, const std::string&) { return {}; }

}  // namespace

std::vector<Option> process_options() {
  return {
      {"daemonize", "", "go to the background once the machine is up", Count::kOnce,
       [](Draft& draft, const std::string&) -> Result<void> {
         draft.invocation.daemonize = true;
         return {};
       }},
      {"pidfile", "FILE", "write the process id there; after a hand-over the new one", Count::kOnce,
       [](Draft& draft, const std::string& value) -> Result<void> {
         if (value.empty()) return fail("-pidfile: the file's name is empty");
         draft.invocation.pidfile = value;
         return {};
       }},
      {"D", "FILE|fd:N", "log there once the machine is up, instead of standard error", Count::kOnce, set_log_file},
      {"msg", "timestamp=on|off", "begin log messages with date and time", Count::kOnce, set_messages},
      {"nographic", "", "no display: true of every Pagurus machine, so this changes nothing", Count::kOnce,
       accept_as_is},
      {"display", "none", "no display: true of every Pagurus machine, so this changes nothing", Count::kOnce,
       set_display},
      {"nodefaults", "", "no default devices: Pagurus adds none, so this changes nothing", Count::kOnce, accept_as_is},
      {"dump-vmstate", "", "print the machine type's state declarations as JSON and exit", Count::kOnce,
       [](Draft& draft, const std::string&) -> Result<void> {
         draft.dump_vmstate = true;
         return {};
       }},
      {"version", "", "print the version and exit", Count::kOnce,
       [](Draft& draft, const std::string&) -> Result<void> {
         draft.invocation.print = "pagurus " PAGURUS_VERSION "\n";
         return {};
       }},
      {"help", "", "print this text and exit", Count::kOnce, print_help},
      {"h", "", "the same as -help", Count::kOnce, print_help},
  };
}

Result<void> finish_process(Draft& draft) {
  if (draft.invocation.start_paused && draft.invocation.daemonize && draft.invocation.endpoints.empty()) {
    return fail("-S needs a way to start the guest later (add -qmp unix:PATH,server=on,wait=off)");
  }
  return {};
}

}  // namespace pagurus::app
