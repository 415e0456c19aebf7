// `pagurusctl shell`: lines from a terminal, or from a file or a pipe.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <memory>

#include "ctl/completion.h"
#include "ctl/connection.h"
#include "ctl/history_file.h"
#include "ctl/line_editor.h"
#include "ctl/shell.h"
#include "ctl/signals.h"
#include "ctl/subcommand.h"

namespace pagurus::ctl {
namespace {

constexpr double kDefaultTimeoutS = 30;
constexpr size_t kScriptWidth = 80;
constexpr int kSignalStatus = 128;  // the shells' custom: 128 and the signal's number

struct Options {
  std::string socket;
  double timeout_s = kDefaultTimeoutS;
};

Connection::Options connection_options(const Options& options, const UniqueFd& interrupts) {
  return {.path = options.socket,
          .timeout_ms = static_cast<int64_t>(options.timeout_s * 1000),
          .interrupt_fd = interrupts.get(),
          .on_event = [](const qapi::Json&) {}};
}

void print(FILE* file, const std::string& text) {
  std::fputs(printable(text).c_str(), file);
  std::fflush(file);
}

// One command a line.  Failures do not end the script, but are its exit status.
Result<int> run_script(const Options& options) {
  UniqueFd interrupts = TRY(catch_interrupts());
  auto connection = TRY(Connection::open(connection_options(options, interrupts)));
  unsigned number = 0;
  int status = kDone;
  auto complain_about_line = [&](const std::string& sentence) {
    complain("line " + std::to_string(number) + ": " + sentence);
  };
  Shell shell(connection, {.show = [](const std::string& text) { print(stdout, text); },
                           .complain = complain_about_line,
                           .width = [] { return kScriptWidth; }});
  for (std::string line; std::getline(std::cin, line);) {
    ++number;
    auto outcome = shell.execute(line);
    if (int signal = take_signal(interrupts)) return kSignalStatus + signal;
    if (outcome == Shell::Outcome::kLeave) break;
    if (outcome == Shell::Outcome::kFailed) status = kFailed;
    if (shell.lost()) return kFailed;
  }
  return status;
}

class Terminal {
 public:
  static Result<int> run(const Options& options) {
    Terminal terminal;
    TRY(terminal.set_up(options));
    return terminal.loop();
  }

 private:
  Result<void> set_up(const Options& options) {
    interrupts_ = TRY(catch_interrupts());
    auto with_events = connection_options(options, interrupts_);
    with_events.on_event = [this](const qapi::Json& event) { show("[" + event_text(event) + "]\n"); };
    connection_.emplace(TRY(Connection::open(std::move(with_events))));
    editor_ = TRY(LineEditor::create(
        {.prompt = "pagurus> ",
         .complete = [this](std::string_view text) { return complete(connection_->introspection(), text); },
         .interrupt_fd = interrupts_.get(),
         .watched_fd = [this] { return connection_->client().fd(); },
         .on_readable = [this] { return shell_->receive_events(); }}));
    shell_.emplace(*connection_, Shell::Output{.show = [this](const std::string& text) { show(text); },
                                               .complain = [this](const std::string& text) { show(text + "\n"); },
                                               .width = [this] { return editor_->width(); }});
    load_history();
    show("Connected: " + connection_->server() + ".  'help' lists the commands, TAB completes, 'quit' leaves.\n");
    return {};
  }

  void show(const std::string& text) {
    if (editor_) editor_->print(printable(text));
  }

  // A shell without history is still a shell.
  void load_history() {
    std::string path = HistoryFile::default_path();
    if (path.empty()) return;
    auto file = HistoryFile::open(path);
    auto lines = file ? file->load() : std::unexpected(file.error());
    if (!lines) return show(lines.error().message() + "\n");
    for (const std::string& line : *lines) editor_->remember(line);
    history_ = std::move(*file);
  }

  void remember(const std::string& line) {
    if (line.find_first_not_of(" \t") == std::string::npos) return;
    editor_->remember(line);
    if (!history_) return;
    if (auto result = history_->append(line); !result) {
      show(result.error().message() + "\n");
      history_.reset();
    }
  }

  int lost_status() const { return shell_->ended() ? kDone : kFailed; }

  int loop() {
    while (true) {
      // What came with the last answer is in our hands already, and makes no descriptor readable.
      if (!shell_->receive_events()) return lost_status();
      LineEditor::Read read = editor_->read();
      if (read.end == LineEditor::End::kEndOfFile || read.end == LineEditor::End::kStopped) {
        show("\n");
        return read.end == LineEditor::End::kStopped ? lost_status() : kDone;
      }
      if (read.end == LineEditor::End::kLine) {
        remember(read.line);
        if (shell_->execute(read.line) == Shell::Outcome::kLeave) return kDone;
      } else {
        show("^C\n");
      }
      int signal = take_signal(interrupts_);
      if (signal != 0 && signal != SIGINT) return kSignalStatus + signal;
    }
  }

  UniqueFd interrupts_;
  std::optional<Connection> connection_;
  std::unique_ptr<LineEditor> editor_;
  std::optional<Shell> shell_;
  std::optional<HistoryFile> history_;
};

std::function<int()> declare(CLI::App& app) {
  auto options = std::make_shared<Options>();  // shared: std::function is copied
  add_socket(app, options->socket);
  app.add_option("--timeout", options->timeout_s, "seconds for each command; default 30")
      ->check(CLI::Range(0.1, 86400.0));
  app.footer(
      "On a terminal: line editing, history, TAB for names and values, events as they come.\n"
      "Otherwise standard input is a script: one command a line, # for comments; the exit status\n"
      "is 1 if one of them failed.  'help' lists the commands.\n"
      "  pagurusctl shell /run/a.qmp\n"
      "  echo query-status | pagurusctl shell /run/a.qmp");
  return [options] {
    bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    auto status = terminal ? Terminal::run(*options) : run_script(*options);
    return status ? *status : complain(status.error().message());
  };
}

}  // namespace

Subcommand shell_subcommand() { return {"shell", "execute QMP commands line by line", declare}; }

}  // namespace pagurus::ctl
