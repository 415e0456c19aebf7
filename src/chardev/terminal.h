// The mode of a terminal that serves as a guest's console: raw while the guest has it, as it was
// before when the last process that holds it ends.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "vmstate/description.h"

namespace pagurus::chardev {

// A termios, as it travels to the process that will have to restore it.
struct TerminalMode {
  uint32_t input = 0;
  uint32_t output = 0;
  uint32_t control = 0;
  uint32_t local = 0;
  std::array<uint8_t, 32> characters{};

  static const vmstate::Description& description();
};

enum class TerminalSignals {
  kOn,   // Ctrl-C ends the process
  kOff,  // Ctrl-C goes to the guest
};

// Nothing if `fd` is no terminal.
std::optional<TerminalMode> terminal_mode(int fd);
void set_terminal_mode(int fd, const TerminalMode& mode);
// Bytes pass as they come, without echo; output is still processed ("\n" moves to column 0).
void make_terminal_raw(int fd, TerminalSignals signals);

}  // namespace pagurus::chardev
