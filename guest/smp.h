// Application processors: started one after the other, each watching its own time.
#pragma once

#include <cstdint>

#include "guest/gap.h"

namespace pagurus::guest {

inline constexpr unsigned kMaxAps = 15;

// Starts up to `wanted` processors beside this one, by directed INIT and start-up IPIs, and waits for each (100 ms).
// They spin, or with the word probe.ap=halt sleep by their own timer.  Returns how many came up.
unsigned start_application_processors(unsigned wanted);

// Processors that run, this one included.
unsigned online_processors();

// Gaps of application processor `i`, i < online_processors() - 1.
GapTracker& ap_gaps(unsigned i);

}  // namespace pagurus::guest
