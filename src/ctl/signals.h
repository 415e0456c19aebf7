// Signals as a readable descriptor, so that every wait can end early and nothing is cut short.
#pragma once

#include <initializer_list>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pagurus::ctl {

// From now on these signals only make the descriptor readable.  A broken pipe becomes an error of write().
Result<UniqueFd> catch_signals(std::initializer_list<int> numbers);
// Ctrl-C and its relatives.
Result<UniqueFd> catch_interrupts();
// The next signal that has come; 0 if none has.
int take_signal(const UniqueFd& fd);

}  // namespace pagurus::ctl
