// LineEditor: one line at a time from a terminal, with editing, history and completion (libedit).
//
// While a line is being typed something else may be watched, and text may be printed above the line.
//
// Threads: one.  It must not be moved: libedit holds its address.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "ctl/completion.h"

// libedit's handles.
struct editline;
struct history;

namespace pagurus::ctl {

class LineEditor {
 public:
  struct Options {
    std::string prompt;
    std::function<Completion(std::string_view)> complete;
    int interrupt_fd;  // borrowed; readable once a signal has come, see signals.h
    // The descriptor to watch while a line is typed, and what to do when it is readable: whether reading
    // goes on.
    std::function<int()> watched_fd;
    std::function<bool()> on_readable;
  };
  enum class End {
    kLine,
    kEndOfFile,    // Ctrl-D on an empty line, or the terminal is gone
    kInterrupted,  // interrupt_fd is readable; the line is dropped
    kStopped       // on_readable said so; the line is dropped
  };
  struct Read {
    End end;
    std::string line;  // without its newline
  };

  static Result<std::unique_ptr<LineEditor>> create(Options options);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  Read read();
  // text ends with a newline.
  void print(const std::string& text);
  // What the arrow keys and Ctrl-R find.
  void remember(const std::string& line);
  size_t width() const;

 private:
  friend struct EditorCallbacks;  // what libedit calls

  explicit LineEditor(Options options) : options_(std::move(options)) {}
  Result<void> set_up();
  // One character of the terminal; false: the line ends with `end_`.
  bool next_character(wchar_t& character);
  bool wait_for_input();
  bool take_byte(wchar_t& character, bool& complete);
  // Whether the byte completes a character.
  bool decode(char byte, wchar_t& character);
  void redraw();
  void clear_line();
  unsigned char complete_word();

  Options options_;
  ::editline* editor_ = nullptr;
  struct history* history_ = nullptr;
  UniqueFd window_fd_;   // readable when the terminal's size has changed, or we have been continued
  std::string pending_;  // bytes of a character that is not complete
  bool reading_ = false;
  End end_ = End::kLine;
};

}  // namespace pagurus::ctl
