// -chardev, -serial and -chardev help: from options to a back end.
//
//   stdio,id=ID[,signal=on|off]
//   null,id=ID
//   file,id=ID,path=PATH[,append=on|off]
//   fd,id=ID,fd=N|NAME                                  any descriptor, both ways as far as it is open
//   socket,id=ID,path=PATH,server=on,wait=off           a UNIX socket, one client at a time
//   socket,id=ID,fd=N|NAME[,server=on,wait=off]         the same, connected or (server=on) listening
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/named_fds.h"
#include "chardev/backend.h"
#include "event/loop.h"
#include "qapi/options.h"

namespace pagurus::chardev {

// The implied key of -chardev.
inline constexpr std::string_view kImpliedKey = "backend";

// options: as parsed from -chardev.  The back end is pending: nothing has been opened.  `loop` and
// `named_fds` outlive it.
Result<std::unique_ptr<Backend>> create_chardev(qapi::Options options, NamedFds& named_fds, event::Loop& loop);

// The value of -serial as the -chardev it stands for, with the given id:
// "stdio", "null", "file:PATH", "unix:PATH,server=on,wait=off".  ("chardev:ID" and "none" name no new
// back end: the caller handles them.)
Result<qapi::Options> expand_serial(std::string_view text, const std::string& id);

// The text of `-chardev help`.
std::string chardev_help();

}  // namespace pagurus::chardev
