// Handlers that take their arguments one by one (qapi::Arguments), for the table of commands.
//
// Threads: the table is filled on the control thread; handlers run there, those with kAnyThread also on
// the thread of the clients.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "qapi/command.h"
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
  enum class Where {
    kControlThread,
    kAnyThread,  // the handler is thread-safe: the command may overtake others (exec-oob)
  };

  explicit CommandTable(qapi::CommandTable& table) : table_(table) {}
  void add(std::string name, Handler handler, Where where = Where::kControlThread);

 private:
  qapi::CommandTable& table_;
};

}  // namespace pagurus::monitor
