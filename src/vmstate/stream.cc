#include "vmstate/stream.h"

#include <algorithm>

namespace pagurus::vmstate {

Result<std::span<const uint8_t>> Reader::get_bytes(size_t size) {
  if (size > rest_.size()) return fail("state ends {} bytes early", size - rest_.size());
  auto bytes = rest_.first(size);
  rest_ = rest_.subspan(size);
  return bytes;
}

Result<UniqueFd> Reader::take_fd() {
  auto index = TRY(get<uint32_t>());
  if (index >= fds_.size()) return fail("state names file descriptor {} of {}", index, fds_.size());
  if (!fds_[index]) return fail("state names file descriptor {} twice", index);
  return std::move(fds_[index]);
}

size_t Reader::unclaimed_fds() const {
  return static_cast<size_t>(std::ranges::count_if(fds_, [](const UniqueFd& fd) { return static_cast<bool>(fd); }));
}

Result<void> Reader::finish() const {
  if (!rest_.empty()) return fail("state has {} bytes more than its declaration", rest_.size());
  return {};
}

}  // namespace pagurus::vmstate
