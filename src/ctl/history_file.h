// The lines of earlier shells, oldest first, one a line in a file that only its owner can read.
//
// Several shells may share it: each line is appended as it is entered.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pagurus::ctl {

class HistoryFile {
 public:
  static constexpr size_t kMostLines = 1000;

  // $XDG_STATE_HOME/pagurus/history, or that below ~/.local/state; empty if there is no home.
  static std::string default_path();
  // Makes the file and its directories (mode 0700) if they are not there.
  static Result<HistoryFile> open(const std::string& path);

  // At most kMostLines, the last ones; a file that holds many more is cut to them.
  Result<std::vector<std::string>> load();
  Result<void> append(const std::string& line);

 private:
  HistoryFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Result<void> write_text(std::string_view text);

  UniqueFd fd_;
  std::string path_;
};

}  // namespace pagurus::ctl
