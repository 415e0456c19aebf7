// A file of the operator's that the guest boots from: read once and kept, so that a reset of the
// machine boots the same bytes even if the file has been replaced or removed since.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace pagurus::machine {

class BootFile {
 public:
  // role: what the file is called in messages, "kernel" or "initrd".
  static Result<BootFile> read(const std::string& path, std::string_view role);
  static BootFile of_bytes(std::string name, std::vector<uint8_t> bytes);

  const std::string& path() const { return path_; }
  std::span<const uint8_t> bytes() const { return bytes_; }

 private:
  BootFile(std::string path, std::vector<uint8_t> bytes) : path_(std::move(path)), bytes_(std::move(bytes)) {}

  std::string path_;
  std::vector<uint8_t> bytes_;
};

}  // namespace pagurus::machine
