// A memory mapping that is unmapped when its owner goes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace pagurus {

class Mapping {
 public:
  enum class Sharing { kShared, kPrivate };

  Mapping() = default;
  // Maps `size` bytes of `fd` from `offset` on, readable and writable.
  static Result<Mapping> of_fd(int fd, uint64_t offset, size_t size, Sharing sharing);
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  Mapping(uint8_t* data, size_t size) : data_(data), size_(size) {}

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace pagurus
