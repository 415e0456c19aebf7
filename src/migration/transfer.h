// Which back ends a hand-over moves: none, all, or those of some kinds.  Three interfaces say it (the
// parameter backend-transfer as a bool and as a list of targets, and the capability local-tap); they
// have this one meaning underneath.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace pagurus::migration {

// Device model and kind of its back end: QEMU's name for what the list and local-tap are about.
inline constexpr std::string_view kVirtioNetTap = "virtio-net-tap";

class Transfer {
 public:
  Transfer() = default;  // none
  static Transfer all();
  // No target: none.
  static Transfer only(std::set<std::string> targets);

  bool any() const { return all_ || !targets_.empty(); }
  bool is_all() const { return all_; }
  const std::set<std::string>& targets() const { return targets_; }  // empty if is_all()
  bool includes(std::string_view target) const;
  // "off", "on", "virtio-net-tap": for messages.
  std::string text() const;
  bool operator==(const Transfer&) const = default;

 private:
  bool all_ = false;
  std::set<std::string> targets_;
};

}  // namespace pagurus::migration
