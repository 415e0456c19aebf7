#include "monitor/io_thread.h"

#include <pthread.h>

#include "base/log.h"

namespace pagurus::monitor {

Result<std::unique_ptr<IoThread>> IoThread::create() {
  auto loop = TRY(event::Loop::create());
  return std::unique_ptr<IoThread>(new IoThread(std::move(loop)));
}

IoThread::~IoThread() {
  stop([] {});
}

void IoThread::start() {
  CHECK(!thread_.joinable(), "the monitor's thread is started once");
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "monitor");
    if (auto ended = loop_->run(); !ended) log_error("QMP is not served any more: {}", ended.error().message());
  });
}

void IoThread::stop(std::function<void()> last) {
  if (!thread_.joinable()) return;
  loop_->post([this, last = std::move(last)] {
    last();
    loop_->exit(0);
  });
  thread_.join();
}

}  // namespace pagurus::monitor
