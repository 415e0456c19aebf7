#include "ctl/history_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <ranges>

namespace pagurus::ctl {
namespace {

// While it lives no other shell touches the file.
class Lock {
 public:
  explicit Lock(int fd) : fd_(fd) { flock(fd_, LOCK_EX); }
  ~Lock() { flock(fd_, LOCK_UN); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  int fd_;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (auto part : std::views::split(text, '\n')) {
    std::string line(part.begin(), part.end());
    if (!line.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace

std::string HistoryFile::default_path() {
  // Only absolute paths count, says the XDG base directory specification.
  const char* state = getenv("XDG_STATE_HOME");
  if (state != nullptr && state[0] == '/') return std::string(state) + "/pagurus/history";
  const char* home = getenv("HOME");
  if (home == nullptr || home[0] != '/') return "";
  return std::string(home) + "/.local/state/pagurus/history";
}

Result<HistoryFile> HistoryFile::open(const std::string& path) {
  std::filesystem::path directory;
  for (const auto& part : std::filesystem::path(path).parent_path()) {
    directory /= part;
    if (mkdir(directory.c_str(), 0700) < 0 && errno != EEXIST) {
      return fail_errno(errno, "cannot create the directory '{}'", directory.string());
    }
  }
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd || fchmod(fd.get(), 0600) < 0) return fail_errno(errno, "cannot open the history '{}'", path);
  return HistoryFile(std::move(fd), path);
}

Result<std::vector<std::string>> HistoryFile::load() {
  Lock lock(fd_.get());
  std::string text;
  char buffer[16384];
  ssize_t size;
  while ((size = pread(fd_.get(), buffer, sizeof buffer, static_cast<off_t>(text.size()))) > 0) {
    text.append(buffer, static_cast<size_t>(size));
  }
  if (size < 0) return fail_errno(errno, "cannot read the history '{}'", path_);
  auto lines = lines_of(text);
  size_t count = lines.size();
  if (count > kMostLines) lines.erase(lines.begin(), lines.end() - kMostLines);
  // Not with every line beyond the limit: rewriting is for the rare case.
  if (count <= 2 * kMostLines) return lines;
  std::string kept;
  for (const std::string& line : lines) kept += line + "\n";
  if (ftruncate(fd_.get(), 0) < 0) return fail_errno(errno, "cannot shorten the history '{}'", path_);
  TRY(write_text(kept));
  return lines;
}

Result<void> HistoryFile::append(const std::string& line) {
  Lock lock(fd_.get());
  return write_text(line + "\n");
}

Result<void> HistoryFile::write_text(std::string_view text) {
  while (!text.empty()) {
    ssize_t size = write(fd_.get(), text.data(), text.size());
    if (size < 0) return fail_errno(errno, "cannot write the history '{}'", path_);
    text.remove_prefix(static_cast<size_t>(size));
  }
  return {};
}

}  // namespace pagurus::ctl
