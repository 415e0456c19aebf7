// Writer and Reader: the bytes and file descriptors of one section.
//
// Both know the version of the section: 0 means the newest that its declaration has.
//
// Integers are little-endian and unpadded.  A file descriptor travels beside the bytes; the bytes
// hold its index.  A Writer only borrows descriptors (the source keeps them until the hand-over is
// committed); a Reader owns those that nobody took, and so closes them.
//
// What a Reader reads is untrusted: every call can fail, and none allocates more than the bytes at
// hand justify.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace pagurus::vmstate {

class Writer {
 public:
  explicit Writer(uint16_t version = 0) : version_(version) {}
  uint16_t version() const { return version_; }

  template <std::integral T>
  void put(T value) {
    size_t at = bytes_.size();
    bytes_.resize(at + sizeof value);
    store_le(bytes_.data() + at, value);
  }
  void put_bytes(std::span<const uint8_t> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  // Lends a descriptor that stays open and owned by the caller until the message has been sent.
  void put_fd(int fd) {
    put<uint32_t>(static_cast<uint32_t>(fds_.size()));
    fds_.push_back(fd);
  }

  const std::vector<uint8_t>& bytes() const { return bytes_; }
  const std::vector<int>& fds() const { return fds_; }

 private:
  uint16_t version_;
  std::vector<uint8_t> bytes_;
  std::vector<int> fds_;
};

class Reader {
 public:
  Reader(std::span<const uint8_t> bytes, std::vector<UniqueFd> fds, uint16_t version = 0)
      : version_(version), rest_(bytes), fds_(std::move(fds)) {}
  uint16_t version() const { return version_; }

  template <std::integral T>
  Result<T> get() {
    auto bytes = TRY(get_bytes(sizeof(T)));
    return load_le<T>(bytes.data());
  }
  // A view of the next `size` bytes; valid as long as the bytes given to the constructor.
  Result<std::span<const uint8_t>> get_bytes(size_t size);
  // Takes ownership of a descriptor; each can be taken once.
  Result<UniqueFd> take_fd();

  size_t remaining() const { return rest_.size(); }
  // Descriptors that nobody has taken; they are closed with the Reader.
  size_t unclaimed_fds() const;
  // Fails if bytes are left over: the two sides disagree about the section.
  Result<void> finish() const;

  // Optional fields that the declaration here does not have; they were skipped.
  void pass_over(std::string field) { passed_over_.push_back(std::move(field)); }
  const std::vector<std::string>& passed_over() const { return passed_over_; }

 private:
  uint16_t version_;
  std::span<const uint8_t> rest_;
  std::vector<UniqueFd> fds_;
  std::vector<std::string> passed_over_;
};

}  // namespace pagurus::vmstate
