// Bytes in the scattered buffers of a descriptor chain: base/iovec.h under this layer's name.
#pragma once

#include "base/iovec.h"

namespace pagurus::virtio {

using pagurus::copy_from;
using pagurus::copy_to;
using pagurus::skip_front;

}  // namespace pagurus::virtio
