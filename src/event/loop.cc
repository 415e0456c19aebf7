#include "event/loop.h"

#include <sys/timerfd.h>
#include <systemd/sd-event.h>

#include <algorithm>
#include <cerrno>

namespace pagurus::event {

class Watch::Impl {
 public:
  explicit Impl(std::function<void(uint32_t)> callback)
      : callback_(std::make_shared<std::function<void(uint32_t)>>(std::move(callback))) {}
  ~Impl() {
    if (source == nullptr) return;
    sd_event_source_set_enabled(source, SD_EVENT_OFF);
    sd_event_source_unref(source);
  }

  static int on_io(sd_event_source*, int, uint32_t events, void* self) { return call(self, events); }
  static int on_signal(sd_event_source*, const signalfd_siginfo*, void* self) { return call(self, 0); }

  sd_event_source* source = nullptr;
  UniqueFd timer;  // of after()

 private:
  static int call(void* self, uint32_t events) {
    // The callback may destroy its own Watch, and with it `self`.
    auto callback = static_cast<Impl*>(self)->callback_;
    (*callback)(events);
    return 0;
  }

  // Shared only between this object and a call in progress.
  std::shared_ptr<std::function<void(uint32_t)>> callback_;
};

Watch::Watch() = default;
Watch::Watch(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Watch::Watch(Watch&&) noexcept = default;
Watch& Watch::operator=(Watch&&) noexcept = default;
Watch::~Watch() = default;

void Watch::set_events(uint32_t events) {
  if (impl_) sd_event_source_set_io_events(impl_->source, events);
}

void Watch::set_enabled(bool enabled) {
  if (impl_) sd_event_source_set_enabled(impl_->source, enabled ? SD_EVENT_ON : SD_EVENT_OFF);
}

Result<std::unique_ptr<Loop>> Loop::create() {
  sd_event* raw = nullptr;
  int error = sd_event_new(&raw);
  if (error < 0) return fail_errno(-error, "cannot create the control loop");
  std::unique_ptr<Loop> loop(new Loop(raw));
  loop->posted_event_ = TRY(make_eventfd());
  loop->posted_watch_ =
      TRY(loop->watch_fd(loop->posted_event_.get(), EPOLLIN, [self = loop.get()](uint32_t) { self->run_posted(); }));
  return loop;
}

Loop::~Loop() {
  posted_watch_ = Watch();
  sd_event_unref(loop_);
}

Result<Watch> Loop::watch_fd(int fd, uint32_t events, std::function<void(uint32_t)> callback) {
  auto impl = std::make_unique<Watch::Impl>(std::move(callback));
  int error = sd_event_add_io(loop_, &impl->source, fd, events, &Watch::Impl::on_io, impl.get());
  if (error < 0) return fail_errno(-error, "cannot watch file descriptor {}", fd);
  return Watch(std::move(impl));
}

// A descriptor of its own, closed with the Watch: sd-event's timers share one that it would keep, and
// a process that came by a hand-over is to hold what a first one holds.
Result<Watch> Loop::after(uint64_t delay_us, std::function<void()> callback) {
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return fail_errno(errno, "cannot create a timer");
  // All zeroes would disarm it.
  delay_us = std::max<uint64_t>(delay_us, 1);
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(delay_us / 1'000'000);
  when.it_value.tv_nsec = static_cast<long>(delay_us % 1'000'000 * 1000);
  if (::timerfd_settime(timer.get(), 0, &when, nullptr) != 0) return fail_errno(errno, "cannot set a timer");
  int fd = timer.get();
  auto impl = std::make_unique<Watch::Impl>([fd, run = std::move(callback)](uint32_t) {
    drain_eventfd(fd);  // A timerfd is read like an eventfd: the count of expirations.
    run();
  });
  impl->timer = std::move(timer);
  int error = sd_event_add_io(loop_, &impl->source, fd, EPOLLIN, &Watch::Impl::on_io, impl.get());
  if (error < 0) return fail_errno(-error, "cannot watch a timer");
  return Watch(std::move(impl));
}

Result<Watch> Loop::on_signal(int signal, std::function<void()> callback) {
  auto impl = std::make_unique<Watch::Impl>([run = std::move(callback)](uint32_t) { run(); });
  int error = sd_event_add_signal(loop_, &impl->source, signal, &Watch::Impl::on_signal, impl.get());
  if (error < 0) return fail_errno(-error, "cannot watch signal {}", signal);
  return Watch(std::move(impl));
}

void Loop::post(std::function<void()> task) {
  {
    std::lock_guard lock(posted_lock_);
    posted_.push_back(std::move(task));
  }
  signal_eventfd(posted_event_.get());
}

void Loop::run_posted() {
  drain_eventfd(posted_event_.get());
  std::vector<std::function<void()>> tasks;
  {
    std::lock_guard lock(posted_lock_);
    tasks.swap(posted_);
  }
  for (auto& task : tasks) task();
}

Result<int> Loop::run() {
  int result = sd_event_loop(loop_);
  if (result < 0) return fail_errno(-result, "the control loop failed");
  return result;
}

Result<void> Loop::turn(uint64_t wait_us) {
  int result = sd_event_run(loop_, wait_us);
  if (result < 0) return fail_errno(-result, "the control loop failed");
  return {};
}

void Loop::exit(int code) { sd_event_exit(loop_, code); }

}  // namespace pagurus::event
