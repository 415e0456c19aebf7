#include "ctl/subcommand.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

namespace pagurus::ctl {

void add_socket(CLI::App& app, std::string& socket) {
  app.add_option("SOCKET", socket, "QMP socket of the guest's process")->required();
}

int complain(const std::string& sentence, int status) {
  std::fprintf(stderr, "pagurusctl: %s\n", printable(sentence).c_str());
  return status;
}

std::string printable(const std::string& text) {
  std::string result;
  for (char c : text) {
    bool control = (c >= 0 && c < ' ' && c != '\n' && c != '\t') || c == '\x7f';
    if (control)
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      result += c;
  }
  return result;
}

}  // namespace pagurus::ctl
