// One queue of a TAP: a port of the back end, attached to its interface or detached from it (TUNSETQUEUE).
#pragma once

#include <linux/if_tun.h>
#include <net/if.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "net/port.h"

namespace pagurus::net {

class TapQueue final : public Port {
 public:
  TapQueue(UniqueFd descriptor, bool attached) : descriptor_(std::move(descriptor)), attached_(attached) {}

  // What a queue of a TAP is like, as TUNGETIFF tells; fails for any other descriptor.
  static Result<ifreq> inspect(int fd);
  // Whether two descriptors are one open file; no, if the kernel does not tell.
  static bool same_file(int one, int other);

  int descriptor() const { return descriptor_.get(); }
  bool attached() const { return attached_; }
  // Only for a queue of a multi-queue TAP.  What waits in a queue is lost when it is detached.
  Result<void> attach(bool on);

  // Port.
  int fd() const override { return attached_ ? descriptor_.get() : -1; }
  IoResult receive(std::span<const iovec> frame) override;
  IoResult transmit(std::span<const iovec> frame) override;

 private:
  UniqueFd descriptor_;
  bool attached_;
};

}  // namespace pagurus::net
