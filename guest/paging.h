// Adds identity mappings to the page tables that entry.S made for the first 4 GiB.
#pragma once

#include "guest/boot_info.h"

namespace pagurus::guest {

// Makes device memory reachable at its physical address.  Ranges below 4 GiB are always reachable.  Returns false
// when the range is outside of the 47 bits the identity mapping can have or the pool of tables is used up.
bool map_device(MemoryRange range);

}  // namespace pagurus::guest
