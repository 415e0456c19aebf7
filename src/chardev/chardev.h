// -chardev, and the one-word forms of -serial and -qmp: from options to a back end.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/named_fds.h"
#include "chardev/backend.h"
#include "event/loop.h"
#include "schema/char.h"

namespace pagurus::chardev {

// The back end is pending: nothing has been opened.  `loop` and `named_fds` outlive it.
Result<std::unique_ptr<Backend>> create_chardev(const schema::ChardevOptions& options, NamedFds& named_fds,
                                                event::Loop& loop);

// What "stdio", "null", "file:PATH" or "unix:PATH,server=on,wait=off" stands for, with the given id.
Result<schema::ChardevOptions> expand_address(std::string_view text, const std::string& id);

}  // namespace pagurus::chardev
