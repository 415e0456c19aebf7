// Subcommand: one word that pagurusctl understands, with its options.
#pragma once

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace pagurus::ctl {

struct Subcommand {
  const char* name;
  const char* description;
  // Declares options and arguments.  What it returns is run once they are parsed and gives the exit status.
  std::function<int()> (*declare)(CLI::App& app);
};

// Exit statuses.
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

Subcommand status_subcommand();
Subcommand upgrade_subcommand();
Subcommand timeline_subcommand();
Subcommand analyze_subcommand();
Subcommand qmp_subcommand();
Subcommand shell_subcommand();

// The argument SOCKET.
void add_socket(CLI::App& app, std::string& socket);
// Prints a sentence to standard error, with the program's name in front; returns `status`.
int complain(const std::string& sentence, int status = kFailed);
// The same text without characters that would make a terminal do things.  Servers quote what guests and
// strangers have said.
std::string printable(const std::string& text);

}  // namespace pagurus::ctl
