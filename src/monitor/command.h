// A table of commands: name to handler.  The one place where the protocol meets what it controls;
// sessions know only this.
//
// Threads: the control thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "qapi/json.h"
#include "qapi/json_arguments.h"

namespace pagurus::monitor {

// One execution of a command.  A handler takes its arguments, calls arguments.finish(), and only
// then does anything.
struct Call {
  qapi::Arguments arguments;
  // Descriptors that came with the command by SCM_RIGHTS; those not taken are closed.
  std::vector<UniqueFd>& fds;
};

using Handler = std::function<Result<qapi::Json>(Call&)>;

class CommandTable {
 public:
  void add(std::string name, Handler handler);
  // Fails with CommandNotFound for a name that is not in the table.
  Result<qapi::Json> execute(const std::string& name, Call& call) const;
  std::vector<std::string> names() const;  // sorted

 private:
  std::map<std::string, Handler, std::less<>> handlers_;
};

}  // namespace pagurus::monitor
