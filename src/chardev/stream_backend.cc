#include "chardev/stream_backend.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace pagurus::chardev {
namespace {

// Both directions of one descriptor, each with a number of its own, as far as it is open for them.
Result<Channel::Descriptors> split(UniqueFd fd) {
  int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0) return fail_errno(errno, "cannot examine file descriptor {}", fd.get());
  int mode = flags & O_ACCMODE;
  if (mode == O_WRONLY) return Channel::Descriptors{.input = {}, .output = std::move(fd)};
  if (mode == O_RDONLY) return Channel::Descriptors{.input = std::move(fd), .output = {}};
  auto output = TRY(duplicate(fd.get()));
  return Channel::Descriptors{.input = std::move(fd), .output = std::move(output)};
}

// A standard descriptor that is closed is a direction without anybody, and so is one that is open for the other
// direction only: nohup's standard input is such a one.
Result<UniqueFd> duplicate_if_open(int fd, int closed_mode) {
  int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) == closed_mode) return UniqueFd();
  return duplicate(fd);
}

// What arrives must be what bytes can flow through: a file, a character device, a pipe or a socket, open in
// that direction.
Result<void> check_stream(const UniqueFd& fd, const char* direction, int closed_mode) {
  if (!fd) return {};
  struct stat info {};
  int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fstat(fd.get(), &info) != 0) return fail_errno(errno, "cannot examine the {}", direction);
  mode_t mode = info.st_mode;
  if (!S_ISREG(mode) && !S_ISCHR(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode)) {
    return fail("the {} is no file, character device, pipe or socket", direction);
  }
  if ((flags & O_PATH) != 0 || (flags & O_ACCMODE) == closed_mode) {
    return fail("the {} is not open in that direction", direction);
  }
  return {};
}

}  // namespace

const vmstate::Description& StreamState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&StreamState::kind>("kind", {.max = static_cast<uint64_t>(StreamConfig::Kind::kFd)}),
      vmstate::field<&StreamState::input>("input", {.max = 1}),
      vmstate::field<&StreamState::output>("output", {.max = 1}),
      vmstate::field<&StreamState::terminal>("terminal", {.max = 1}),
  };
  static constexpr vmstate::Description kDescription{"chardev-stream", 1, kFields};
  return kDescription;
}

StreamBackend::StreamBackend(StreamConfig config, NamedFds& named_fds, event::Loop& loop)
    : config_(std::move(config)), named_fds_(named_fds), loop_(loop) {}

StreamBackend::~StreamBackend() {
  if (channel_) channel_->stop();
  restore_terminal();
}

std::string_view StreamBackend::kind() const {
  switch (config_.kind) {
    case StreamConfig::Kind::kStdio: return "stdio";
    case StreamConfig::Kind::kFile: return "file";
    case StreamConfig::Kind::kFd: return "fd";
  }
  return "?";
}

Result<void> StreamBackend::open() {
  auto descriptors = TRY_DOING(fmt::format("character device '{}'", config_.id), open_descriptors());
  channel_ = std::make_unique<Channel>(loop_, std::move(descriptors), nullptr);
  return {};
}

Result<Channel::Descriptors> StreamBackend::open_descriptors() {
  switch (config_.kind) {
    case StreamConfig::Kind::kStdio: {
      auto input = TRY(duplicate_if_open(STDIN_FILENO, O_WRONLY));
      auto output = TRY(duplicate_if_open(STDOUT_FILENO, O_RDONLY));
      return Channel::Descriptors{.input = std::move(input), .output = std::move(output)};
    }
    case StreamConfig::Kind::kFile: {
      int disposition = config_.existing == StreamConfig::Existing::kAppend ? O_APPEND : O_TRUNC;
      UniqueFd fd(::open(config_.path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | disposition, 0644));
      if (!fd) return fail_errno(errno, "cannot open '{}' for writing", config_.path);
      return Channel::Descriptors{.input = {}, .output = std::move(fd)};
    }
    case StreamConfig::Kind::kFd: return split(TRY(named_fds_.resolve(config_.fd)));
  }
  return fail("unknown kind");
}

void StreamBackend::attach(Frontend* frontend) {
  if (frontend == nullptr && channel_) channel_->stop();
  frontend_ = frontend;
}

void StreamBackend::freeze() {
  if (channel_) channel_->stop();
}

void StreamBackend::thaw() {
  if (!channel_ || released_) return;
  // A mode to restore that has travelled here means that the terminal is raw already.
  if (adopted_restore_) restore_ = std::exchange(adopted_restore_, std::nullopt);
  if (config_.kind == StreamConfig::Kind::kStdio && !restore_) {
    restore_ = terminal_mode(channel_->input_fd());
    if (restore_) make_terminal_raw(channel_->input_fd(), config_.signals);
  }
  channel_->start(frontend_);
  if (frontend_ != nullptr) frontend_->writable();
}

Result<void> StreamBackend::save(vmstate::Writer& writer) const {
  StreamState state{.kind = config_.kind};
  if (channel_->input_fd() >= 0) state.input.push_back(vmstate::Fd::lend(channel_->input_fd()));
  if (channel_->output_fd() >= 0) state.output.push_back(vmstate::Fd::lend(channel_->output_fd()));
  if (restore_) state.terminal.push_back(*restore_);
  vmstate::write_state(writer, state);
  return {};
}

Result<void> StreamBackend::adopt(vmstate::Reader& reader) {
  auto state = TRY(vmstate::read_state<StreamState>(reader));
  if (state.kind != config_.kind) {
    return fail("character device '{}' is of another kind than '{}' on the other side", config_.id, kind());
  }
  Channel::Descriptors descriptors;
  if (!state.input.empty()) descriptors.input = state.input.front().take();
  if (!state.output.empty()) descriptors.output = state.output.front().take();
  std::string doing = fmt::format("character device '{}'", config_.id);
  TRY_DOING(doing, check_stream(descriptors.input, "input", O_WRONLY));
  TRY_DOING(doing, check_stream(descriptors.output, "output", O_RDONLY));
  if (config_.kind == StreamConfig::Kind::kFile && descriptors.input) return fail("{}: a file has no input", doing);
  if (!state.terminal.empty() && ::isatty(descriptors.input.get()) != 1) {
    return fail("{}: the input is not the terminal that was announced", doing);
  }
  channel_ = std::make_unique<Channel>(loop_, std::move(descriptors), nullptr);
  if (!state.terminal.empty()) adopted_restore_ = state.terminal.front();
  return {};
}

void StreamBackend::release() {
  freeze();
  restore_.reset();
  released_ = true;
}

void StreamBackend::restore_terminal() {
  if (restore_ && channel_) set_terminal_mode(channel_->input_fd(), *restore_);
}

}  // namespace pagurus::chardev
