// The commands of the control service, the same by UDP and by serial line.
#pragma once

#include <cstdint>

#include "guest/gap.h"
#include "guest/network.h"
#include "guest/pattern.h"
#include "guest/text.h"

namespace pagurus::guest {

using Reply = Text<1400>;

// Executes commands.  Power-off and reset are only noted here: the main loop does them when the reply has left.
class Control final : public ControlHandler {
 public:
  enum class Action : uint8_t { none, power_off, reset };

  struct Parts {
    GapTracker& gaps;
    Pattern& pattern;
    const Responder& responder;
  };

  Control(Parts parts, uint64_t boot_tsc, uint64_t boot_count)
      : parts_(parts), boot_tsc_(boot_tsc), boot_count_(boot_count) {}

  uint32_t handle_request(TextView request, char* reply, uint32_t capacity) override;

  // One request: a command, then an optional token that comes back in the reply.
  void execute(TextView request, Reply& reply);

  Action action() const { return action_; }

  // When the last request by network was finished (TSC); 0 if there was none since the last call.
  uint64_t take_busy_until() {
    const uint64_t end = busy_until_;
    busy_until_ = 0;
    return end;
  }

 private:
  void put_stats(Reply& reply);
  void put_network(Reply& reply);
  void put_gap_summary(Reply& reply);
  void put_gaps(Reply& reply);
  void put_processors(Reply& reply);
  void put_check(Reply& reply);
  void put_pairs(Reply& reply);
  void control_queue(TextView command, TextView& rest, Reply& reply);
  void reset_gaps();

  Parts parts_;
  uint64_t boot_tsc_;
  uint64_t boot_count_;
  uint64_t busy_until_ = 0;
  Action action_ = Action::none;
};

}  // namespace pagurus::guest
