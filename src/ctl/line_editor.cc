#include "ctl/line_editor.h"

#include <histedit.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cwchar>

#include "ctl/history_file.h"
#include "ctl/shell_help.h"
#include "ctl/signals.h"

namespace pagurus::ctl {

// C functions, which find the object by libedit's client data.
struct EditorCallbacks {
  static LineEditor& of(EditLine* editor) {
    void* data = nullptr;
    el_get(editor, EL_CLIENTDATA, &data);
    return *static_cast<LineEditor*>(data);
  }
  static char* prompt(EditLine* editor) { return of(editor).options_.prompt.data(); }
  static unsigned char complete(EditLine* editor, int) { return of(editor).complete_word(); }
  static int get_character(EditLine* editor, wchar_t* character) {
    return of(editor).next_character(*character) ? 1 : -1;
  }
};

namespace {

constexpr size_t kDefaultWidth = 80;

void use_a_locale_with_utf8() {
  setlocale(LC_CTYPE, "");
  // Without one every byte above 127 would be an error.
  if (MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

Result<std::unique_ptr<LineEditor>> LineEditor::create(Options options) {
  std::unique_ptr<LineEditor> editor(new LineEditor(std::move(options)));
  TRY(editor->set_up());
  return editor;
}

Result<void> LineEditor::set_up() {
  use_a_locale_with_utf8();
  window_fd_ = TRY(catch_signals({SIGWINCH, SIGCONT}));
  editor_ = el_init("pagurusctl", stdin, stdout, stderr);
  history_ = history_init();
  if (editor_ == nullptr || history_ == nullptr) return fail("cannot edit lines on this terminal");
  HistEvent event;
  history(history_, &event, H_SETSIZE, static_cast<int>(HistoryFile::kMostLines));
  history(history_, &event, H_SETUNIQUE, 1);
  el_set(editor_, EL_CLIENTDATA, this);
  el_set(editor_, EL_PROMPT, &EditorCallbacks::prompt);
  el_set(editor_, EL_EDITOR, "emacs");
  el_set(editor_, EL_HIST, ::history, history_);
  el_set(editor_, EL_GETCFN, &EditorCallbacks::get_character);
  el_set(editor_, EL_ADDFN, "pagurus-complete", "complete the word", &EditorCallbacks::complete);
  el_set(editor_, EL_BIND, "^I", "pagurus-complete", nullptr);
  el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_source(editor_, nullptr);
  return {};
}

LineEditor::~LineEditor() {
  if (editor_ != nullptr) el_end(editor_);
  if (history_ != nullptr) history_end(history_);
}

LineEditor::Read LineEditor::read() {
  int count = 0;
  end_ = End::kLine;
  reading_ = true;
  // Before the prompt is shown: what is typed at a prompt is for the editor, not for the terminal's own.
  el_set(editor_, EL_PREP_TERM, 1);
  const char* line = el_gets(editor_, &count);
  reading_ = false;
  if (line != nullptr && count > 0) {
    std::string text(line, static_cast<size_t>(count));
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    return {End::kLine, std::move(text)};
  }
  return {end_ == End::kLine ? End::kEndOfFile : end_, ""};
}

bool LineEditor::next_character(wchar_t& character) {
  bool complete = false;
  while (!complete) {
    if (!wait_for_input() || !take_byte(character, complete)) return false;
  }
  return true;
}

// False: the line has ended.
bool LineEditor::wait_for_input() {
  while (true) {
    std::array<pollfd, 4> polled{pollfd{STDIN_FILENO, POLLIN, 0}, pollfd{options_.interrupt_fd, POLLIN, 0},
                                 pollfd{window_fd_.get(), POLLIN, 0}, pollfd{options_.watched_fd(), POLLIN, 0}};
    if (poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) {
      end_ = End::kEndOfFile;
      return false;
    }
    if (polled[1].revents != 0) {
      end_ = End::kInterrupted;
      return false;
    }
    if (polled[2].revents != 0) {
      while (take_signal(window_fd_) != 0) continue;
      el_resize(editor_);
      clear_line();
      redraw();
    }
    if (polled[3].revents != 0 && !options_.on_readable()) {
      end_ = End::kStopped;
      return false;
    }
    if (polled[0].revents != 0) return true;
  }
}

bool LineEditor::take_byte(wchar_t& character, bool& complete) {
  char byte = 0;
  ssize_t size = ::read(STDIN_FILENO, &byte, 1);
  if (size < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  if (size <= 0) {
    end_ = End::kEndOfFile;
    return false;
  }
  complete = decode(byte, character);
  return true;
}

bool LineEditor::decode(char byte, wchar_t& character) {
  constexpr auto kIncomplete = static_cast<size_t>(-2);
  constexpr auto kInvalid = static_cast<size_t>(-1);
  pending_ += byte;
  std::mbstate_t state{};
  size_t length = std::mbrtowc(&character, pending_.data(), pending_.size(), &state);
  if (length == kIncomplete) return false;
  bool had_more = pending_.size() > 1;
  pending_.clear();
  if (length != kInvalid) return true;
  // The byte that breaks one character may begin another.
  return had_more && decode(byte, character);
}

size_t LineEditor::width() const {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kDefaultWidth;
}

// The line may have wrapped: the cursor goes up to the prompt first.
void LineEditor::clear_line() {
  const LineInfoW* line = el_wline(editor_);
  size_t cells = options_.prompt.size();
  for (const wchar_t* at = line->buffer; at < line->cursor; ++at) {
    int width = wcwidth(*at);
    cells += width > 0 ? static_cast<size_t>(width) : 0;
  }
  if (size_t rows = cells / width(); rows > 0) std::printf("\x1b[%zuA", rows);
  std::fputs("\r\x1b[J", stdout);
}

void LineEditor::redraw() {
  std::fflush(stdout);
  el_set(editor_, EL_REFRESH);
}

void LineEditor::print(const std::string& text) {
  if (reading_) clear_line();
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
  if (reading_) redraw();
}

void LineEditor::remember(const std::string& line) {
  HistEvent event;
  history(history_, &event, H_ENTER, line.c_str());
}

unsigned char LineEditor::complete_word() {
  const LineInfo* line = el_line(editor_);
  std::string_view text(line->buffer, static_cast<size_t>(line->cursor - line->buffer));
  Completion completion = options_.complete(text);
  if (!completion.insert.empty()) {
    return el_insertstr(editor_, completion.insert.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  }
  if (completion.choices.empty()) return CC_REFRESH_BEEP;
  std::fputs(("\n" + columns_text(completion.choices, width())).c_str(), stdout);
  std::fflush(stdout);
  return CC_REDISPLAY;
}

}  // namespace pagurus::ctl
