#include "monitor/command.h"

namespace pagurus::monitor {

void CommandTable::add(std::string name, Handler handler, Where where) {
  table_.add({.name = std::move(name), .oob = where == Where::kAnyThread},
             [handler = std::move(handler)](qapi::Call& call, const qapi::Json& arguments) {
               Call unpacked{qapi::Arguments(arguments.as_object()), call.fds};
               return handler(unpacked);
             });
}

}  // namespace pagurus::monitor
