// -chardev stdio, file and fd: descriptors that are there from the beginning.
//
// A terminal as input is made raw when the back end is first used, and set back by the last process
// that holds it: after release() that is another one, to which the mode to restore has travelled.
//
// Threads: see Backend.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/named_fds.h"
#include "chardev/backend.h"
#include "chardev/channel.h"
#include "chardev/terminal.h"

namespace pagurus::chardev {

struct StreamConfig {
  enum class Kind : uint8_t { kStdio, kFile, kFd };
  enum class Existing { kTruncate, kAppend };

  std::string id;
  Kind kind = Kind::kStdio;
  TerminalSignals signals = TerminalSignals::kOn;  // kStdio
  std::string path;                                // kFile
  Existing existing = Existing::kTruncate;         // kFile
  std::string fd;                                  // kFd: number or name
};

struct StreamState {
  StreamConfig::Kind kind = StreamConfig::Kind::kStdio;
  std::vector<vmstate::Fd> input;      // at most one
  std::vector<vmstate::Fd> output;     // at most one
  std::vector<TerminalMode> terminal;  // at most one: what to restore

  static const vmstate::Description& description();
};

class StreamBackend final : public Backend {
 public:
  StreamBackend(StreamConfig config, NamedFds& named_fds, event::Loop& loop);
  ~StreamBackend() override;

  const std::string& id() const override { return config_.id; }
  std::string_view kind() const override;
  bool pending() const override { return channel_ == nullptr; }
  Result<void> open() override;
  void attach(Frontend* frontend) override;
  size_t write(std::span<const uint8_t> bytes) override { return channel_ ? channel_->write(bytes) : 0; }
  void want_input() override {
    if (channel_) channel_->want_input();
  }

  Result<const vmstate::Description*> movable() const override { return &StreamState::description(); }
  void freeze() override;
  Result<void> save(vmstate::Writer& writer) const override;
  Result<void> adopt(vmstate::Reader& reader) override;
  void thaw() override;
  void release() override;

 private:
  Result<Channel::Descriptors> open_descriptors();
  void restore_terminal();

  StreamConfig config_;
  NamedFds& named_fds_;
  event::Loop& loop_;
  Frontend* frontend_ = nullptr;
  // Made by open() or adopt(), kept until destruction.
  std::unique_ptr<Channel> channel_;
  // Set while a terminal is raw because of us.
  std::optional<TerminalMode> restore_;
  // Travelled here; becomes ours to restore with the first thaw(), that is after the commit.
  std::optional<TerminalMode> adopted_restore_;
  bool released_ = false;
};

}  // namespace pagurus::chardev
