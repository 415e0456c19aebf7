// A thread for each vCPU; the first vCPU's is the caller's own.  They wait on a futex between two jobs.
#pragma once

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "base/result.h"

namespace pagurus::floor {

class Crew {
 public:
  using Job = std::function<Result<void>(unsigned id)>;

  explicit Crew(unsigned size) {
    for (unsigned id = 1; id < size; ++id) threads_.emplace_back([this, id] { work(id); });
  }
  ~Crew() {
    job_ = nullptr;
    begin();
    for (auto& thread : threads_) thread.join();
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Does the job for every vCPU at once, and returns when all have done it.
  Result<void> run(const Job& job) {
    job_ = &job;
    left_.store(static_cast<unsigned>(threads_.size()));
    begin();
    Result<void> own = job(0);
    for (unsigned left; (left = left_.load()) != 0;) left_.wait(left);
    TRY(std::move(own));
    if (failed_) return fail("another vCPU's thread failed");
    return {};
  }

 private:
  void begin() {
    ++turn_;
    turn_.notify_all();
  }
  void work(unsigned id) {
    for (unsigned turn = 0;; ++turn) {
      turn_.wait(turn);
      if (job_ == nullptr) return;
      if (auto done = (*job_)(id); !done) {
        fmt::print(stderr, "floor: vCPU {}: {}\n", id, done.error().message());
        failed_ = true;
      }
      if (--left_ == 0) left_.notify_one();
    }
  }

  const Job* job_ = nullptr;  // published by turn_
  std::atomic<unsigned> turn_ = 0;
  std::atomic<unsigned> left_ = 0;
  std::atomic<bool> failed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace pagurus::floor
