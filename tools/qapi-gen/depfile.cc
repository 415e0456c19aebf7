#include "depfile.h"

namespace pagurus::qapi_gen {
namespace {

// As make and ninja read it.
std::string escaped(std::string_view path) {
  std::string result;
  for (char c : path) {
    if (c == ' ' || c == '#' || c == '\\') result += '\\';
    if (c == '$') result += '$';
    result += c;
  }
  return result;
}

}  // namespace

std::string depfile_text(std::string_view output, const Parsed& parsed) {
  std::string text = escaped(output) + ":";
  for (const auto& file : parsed.files) text += " \\\n  " + escaped(file->path);
  return text + "\n";
}

}  // namespace pagurus::qapi_gen
