// Collects the text of one generated C++ file.
#pragma once

#include <string>
#include <string_view>

#include "schema.h"

namespace pagurus::qapi_gen {

class CppWriter {
 public:
  void line(std::string_view text = {}) {
    text_ += text;
    text_ += '\n';
  }
  // "#if ..." in front of what follows, and what ends it; nothing for what is always there.
  void open_if(const Condition& condition);
  void close_if(const Condition& condition);
  // A documentation comment, wrapped; nothing for no text.
  void comment(std::string_view text, std::string_view indentation = {});
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

// Condition::text() without the parentheses around all of it.
std::string directive_text(const Condition& condition);
// The comment a generated file begins with.
std::string file_comment(const SourceFile& source, std::string_view what);

}  // namespace pagurus::qapi_gen
