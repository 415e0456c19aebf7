// Where a schema's files come from: the disk, or a test's memory.
#pragma once

#include <map>
#include <string>

#include "base/result.h"

namespace pagurus::qapi_gen {

class FileReader {
 public:
  virtual ~FileReader() = default;
  // The whole content.  The error names no path: who includes the file does that.
  virtual Result<std::string> read(const std::string& path) const = 0;
};

// Regular files of at most kMaxFileSize bytes: others, such as pipes and devices, might never end.
class DiskReader : public FileReader {
 public:
  static constexpr size_t kMaxFileSize = 64 << 20;

  Result<std::string> read(const std::string& path) const override;
};

class MemoryReader : public FileReader {
 public:
  using Files = std::map<std::string, std::string>;  // texts by path
  explicit MemoryReader(Files files) : files_(std::move(files)) {}

  Result<std::string> read(const std::string& path) const override;

 private:
  Files files_;
};

}  // namespace pagurus::qapi_gen
