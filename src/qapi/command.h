// CommandTable: from a command's name to what executes it.  Generated code (schema/net_commands.h) fills
// it; whoever has a client in front of them asks it.
//
// Before a command's implementation runs, its arguments have been read completely: what is missing,
// unexpected, given twice or of the wrong type has been refused.
//
// Threads: filled once, then read from the thread of the clients.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "qapi/json.h"

namespace pagurus::qapi {

// One execution of a command, and what came with it besides its arguments.  A server that has more to
// say about the client derives from this.
struct Call {
  // Descriptors that came with the command by SCM_RIGHTS; those not taken are closed.
  std::vector<UniqueFd>& fds;
};

struct CommandInfo {
  std::string name;
  bool oob = false;              // may overtake commands that were sent before
  bool preconfig = false;        // may run before the machine is made
  bool success_response = true;  // false: answered only if it fails
};

class CommandTable {
 public:
  // Arguments are an object.
  using Handler = std::function<Result<Json>(Call& call, const Json& arguments)>;

  void add(CommandInfo info, Handler handler);
  // nullptr if there is no such command.
  const CommandInfo* find(std::string_view name) const;
  // Fails with CommandNotFound for a name that is not in the table.
  Result<Json> execute(std::string_view name, Call& call, const Json& arguments) const;
  std::vector<std::string> names() const;  // sorted

 private:
  struct Entry {
    CommandInfo info;
    Handler handler;
  };
  std::map<std::string, Entry, std::less<>> entries_;
};

// For commands that take no arguments.
Result<void> no_arguments(const Json& arguments);

}  // namespace pagurus::qapi
