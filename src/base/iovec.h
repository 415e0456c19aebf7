// Bytes in scattered buffers.  The buffers are the guest's and may be cut anywhere.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

namespace pagurus {

// Copies into the buffers from `offset` on; returns how many bytes fitted.
inline size_t copy_to(std::span<const iovec> buffers, size_t offset, std::span<const uint8_t> from) {
  size_t done = 0;
  for (const iovec& buffer : buffers) {
    if (done == from.size()) break;
    if (offset >= buffer.iov_len) {
      offset -= buffer.iov_len;
      continue;
    }
    size_t size = std::min(buffer.iov_len - offset, from.size() - done);
    std::memcpy(static_cast<uint8_t*>(buffer.iov_base) + offset, from.data() + done, size);
    done += size;
    offset = 0;
  }
  return done;
}

// Copies the first bytes of the buffers; returns how many there were, at most to.size().
inline size_t copy_from(std::span<const iovec> buffers, std::span<uint8_t> to) {
  size_t done = 0;
  for (const iovec& buffer : buffers) {
    if (done == to.size()) break;
    size_t size = std::min(buffer.iov_len, to.size() - done);
    std::memcpy(to.data() + done, buffer.iov_base, size);
    done += size;
  }
  return done;
}

// Drops the first `bytes` bytes; returns the buffers that remain.
inline std::span<iovec> skip_front(std::span<iovec> buffers, size_t bytes) {
  while (!buffers.empty() && bytes >= buffers.front().iov_len) {
    bytes -= buffers.front().iov_len;
    buffers = buffers.subspan(1);
  }
  if (!buffers.empty() && bytes != 0) {
    buffers.front().iov_base = static_cast<uint8_t*>(buffers.front().iov_base) + bytes;
    buffers.front().iov_len -= bytes;
  }
  return buffers;
}

}  // namespace pagurus
