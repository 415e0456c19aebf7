#include "event/worker.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace pagurus::event {

Result<std::unique_ptr<Worker>> Worker::create(std::string name) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno(errno, "cannot create an epoll instance for '{}'", name);
  UniqueFd wake = TRY(make_eventfd());
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return fail_errno(errno, "cannot watch the wake-up event of '{}'", name);
  }
  std::unique_ptr<Worker> worker(new Worker(std::move(epoll), std::move(wake)));
  worker->thread_ = std::thread([self = worker.get(), name] { self->thread_main(name); });
  return worker;
}

Worker::~Worker() {
  {
    std::lock_guard lock(lock_);
    state_ = State::kStopping;
  }
  changed_.notify_all();
  signal_eventfd(wake_.get());
  thread_.join();
}

Result<void> Worker::add(int fd, uint32_t events, std::function<void(uint32_t)> callback) {
  auto entry = std::make_unique<Entry>(Entry{fd, std::move(callback)});
  epoll_event event{.events = events, .data = {.ptr = entry.get()}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail_errno(errno, "cannot serve file descriptor {}", fd);
  }
  entries_.push_back(std::move(entry));
  return {};
}

void Worker::modify(int fd, uint32_t events) {
  auto found = std::ranges::find(entries_, fd, [](const auto& entry) { return entry->fd; });
  CHECK(found != entries_.end(), "only a file descriptor that was added is modified");
  epoll_event event{.events = events, .data = {.ptr = found->get()}};
  int result = ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
  CHECK(result == 0, "an added file descriptor stays open until it is removed");
}

void Worker::remove(int fd) {
  auto found = std::ranges::find(entries_, fd, [](const auto& entry) { return entry->fd; });
  if (found == entries_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  // Its callback may be the one that is running.
  retired_.push_back(std::move(*found));
  entries_.erase(found);
}

void Worker::request_freeze() {
  std::lock_guard lock(lock_);
  if (state_ != State::kRunning) return;
  state_ = serving_ ? State::kFreezing : State::kFrozen;
  outdated_ = true;
}

void Worker::wait_frozen() {
  std::unique_lock lock(lock_);
  changed_.wait(lock, [this] { return state_ == State::kFrozen; });
}

void Worker::thaw() {
  {
    std::lock_guard lock(lock_);
    CHECK(state_ == State::kFrozen || state_ == State::kRunning, "a freeze is waited for before the thaw");
    state_ = State::kRunning;
  }
  changed_.notify_all();
}

bool Worker::frozen() const {
  std::lock_guard lock(lock_);
  return state_ == State::kFrozen;
}

bool Worker::asked_to_freeze() const {
  std::lock_guard lock(lock_);
  return state_ == State::kFreezing;
}

void Worker::thread_main(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
  while (begin_waiting()) {
    // One event at a time: a callback may remove another entry, whose pointer must not be in hand.
    epoll_event event{};
    int count = ::epoll_wait(epoll_.get(), &event, 1, -1);
    if (!end_waiting() || count <= 0) continue;
    static_cast<Entry*>(event.data.ptr)->callback(event.events);
    retired_.clear();
  }
}

// Stays while the worker is frozen.  Returns false when the thread is to end.
bool Worker::begin_waiting() {
  std::unique_lock lock(lock_);
  serving_ = false;
  if (state_ == State::kFreezing) {
    state_ = State::kFrozen;
    changed_.notify_all();
  }
  changed_.wait(lock, [this] { return state_ != State::kFrozen; });
  outdated_ = false;
  return state_ != State::kStopping;
}

// Returns whether the event may be served.  If not it is reported again, by an entry that is still there.
bool Worker::end_waiting() {
  std::lock_guard lock(lock_);
  serving_ = state_ == State::kRunning && !outdated_;
  return serving_;
}

}  // namespace pagurus::event
