#include "chardev/terminal.h"

#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>

namespace pagurus::chardev {
namespace {

static_assert(NCCS <= 32);

// A process in the background that sets a terminal's mode is stopped by SIGTTOU, unless it blocks
// it; at our exit that would be a hang.
void set_attributes(int fd, const termios& attributes) {
  sigset_t block;
  sigset_t before;
  sigemptyset(&block);
  sigaddset(&block, SIGTTOU);
  pthread_sigmask(SIG_BLOCK, &block, &before);
  ::tcsetattr(fd, TCSANOW, &attributes);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

const vmstate::Description& TerminalMode::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&TerminalMode::input>("input"),           vmstate::field<&TerminalMode::output>("output"),
      vmstate::field<&TerminalMode::control>("control"),       vmstate::field<&TerminalMode::local>("local"),
      vmstate::field<&TerminalMode::characters>("characters"),
  };
  static constexpr vmstate::Description kDescription{"terminal-mode", 1, kFields};
  return kDescription;
}

std::optional<TerminalMode> terminal_mode(int fd) {
  termios attributes{};
  if (fd < 0 || ::tcgetattr(fd, &attributes) != 0) return std::nullopt;
  TerminalMode mode{.input = attributes.c_iflag,
                    .output = attributes.c_oflag,
                    .control = attributes.c_cflag,
                    .local = attributes.c_lflag};
  std::copy_n(attributes.c_cc, NCCS, mode.characters.begin());
  return mode;
}

void set_terminal_mode(int fd, const TerminalMode& mode) {
  termios attributes{};
  // The line speed stays as it is.
  if (::tcgetattr(fd, &attributes) != 0) return;
  attributes.c_iflag = mode.input;
  attributes.c_oflag = mode.output;
  attributes.c_cflag = mode.control;
  attributes.c_lflag = mode.local;
  std::copy_n(mode.characters.begin(), NCCS, attributes.c_cc);
  set_attributes(fd, attributes);
}

void make_terminal_raw(int fd, TerminalSignals signals) {
  termios attributes{};
  if (::tcgetattr(fd, &attributes) != 0) return;
  tcflag_t output = attributes.c_oflag;
  ::cfmakeraw(&attributes);
  attributes.c_oflag = output | OPOST;
  if (signals == TerminalSignals::kOn) attributes.c_lflag |= ISIG;
  set_attributes(fd, attributes);
}

}  // namespace pagurus::chardev
