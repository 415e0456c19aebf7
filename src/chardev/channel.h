// An open byte stream of the host: the part that all character back ends with descriptors share.
//
// Never waits, without O_NONBLOCK: sockets are used with MSG_DONTWAIT, for anything else poll() is
// asked before each call, and a call is small enough not to wait then.
//
// States: stopped ──start()──▶ running ──stop()──▶ stopped.  Stopped: reads nothing, write() takes 0.
// An end of file or an error on the output makes it a hole that takes everything; one on the input
// ends reading for good.  Either calls `on_closed` once, on the control thread.
//
// Threads: write() and want_input() from any; everything else on the control thread.  lock_ guards
// running_, output_dead_ and waiting_.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>

#include "base/unique_fd.h"
#include "chardev/backend.h"
#include "event/loop.h"

namespace pagurus::chardev {

class Channel {
 public:
  struct Descriptors {
    UniqueFd input;   // may be empty: nothing to read
    UniqueFd output;  // may be empty: written bytes vanish; never the same number as input
  };
  // on_closed may destroy this object.
  Channel(event::Loop& loop, Descriptors descriptors, std::function<void()> on_closed);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  int input_fd() const { return fds_.input.get(); }
  int output_fd() const { return fds_.output.get(); }

  // frontend: may be null (then nothing is read); outlives the running state.
  void start(Frontend* frontend);
  void stop();

  // As Backend::write() and Backend::want_input().
  size_t write(std::span<const uint8_t> bytes);
  void want_input();

 private:
  // On the control thread, if this object still exists by then.
  void post(void (Channel::*step)());
  void resume_input();
  void input_ready();
  void output_ready();
  void wait_for_output();
  void close_input();
  void notify_closed();
  size_t write_some(std::span<const uint8_t> bytes);

  event::Loop& loop_;
  Descriptors fds_;
  std::function<void()> on_closed_;
  Frontend* frontend_ = nullptr;
  // What posted steps hold on to: expired means this object is gone.
  std::shared_ptr<Channel*> self_;
  bool input_is_socket_ = false;
  bool output_is_socket_ = false;
  bool output_is_terminal_ = false;
  bool input_closed_ = false;
  bool closed_notified_ = false;
  // A regular file as input cannot be watched; it is always ready.
  bool input_unwatchable_ = false;

  std::mutex lock_;
  bool running_ = false;
  bool output_dead_ = false;
  bool waiting_ = false;

  event::Watch input_watch_;
  event::Watch output_watch_;
};

}  // namespace pagurus::chardev
