// One queue of a TAP: a port of the back end, attached to its interface or detached from it (TUNSETQUEUE).
#pragma once

#include <linux/if_tun.h>
#include <net/if.h>

#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "net/port.h"

namespace pagurus::net {

class TapQueue final : public Port {
 public:
  // Of a TAP that is pending: nothing can be done with it.
  TapQueue() = default;
  TapQueue(UniqueFd descriptor, bool attached) : descriptor_(std::move(descriptor)), attached_(attached) {}

  // What a queue of a TAP is like, as TUNGETIFF tells; fails for any other descriptor.
  static Result<ifreq> inspect(int fd);
  // That queue `index` of TAP `ifname` is none of those before it in another descriptor, as far as the kernel tells.
  static Result<void> check_distinct(std::span<const int> fds, size_t index, const char* ifname);

  int descriptor() const { return descriptor_.get(); }
  bool attached() const { return attached_; }
  // The TAP's name, which may have changed since it was opened; empty if it has been deleted.  Of a queue that is
  // attached.
  std::string name() const;
  // Only for a queue of a multi-queue TAP.  What waits in a queue is lost when it is detached.
  Result<void> attach(bool on);

  // Port.
  int fd() const override { return attached_ ? descriptor_.get() : -1; }
  IoResult receive(std::span<const iovec> frame) override;
  IoResult transmit(std::span<const iovec> frame) override;

 private:
  UniqueFd descriptor_;
  bool attached_ = false;
};

}  // namespace pagurus::net
