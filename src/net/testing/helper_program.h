// A bridge helper of a test: a script of its own, as long as this lives.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace pagurus::net::testing {

// For Python: pass_on(fd) sends a descriptor as helpers do, `bridge` is the one that was asked for.
inline constexpr const char* kPythonHelper =
    "#!/usr/bin/python3\n"
    "import array, fcntl, os, socket, struct, sys\n"
    "bridge = sys.argv[3].removeprefix('--br=')\n"
    "channel = socket.socket(fileno=int(sys.argv[2].removeprefix('--fd=')))\n"
    "def pass_on(*fds):\n"
    "    channel.sendmsg([b'\\0'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))])\n";

class HelperProgram {
 public:
  explicit HelperProgram(const std::string& text) {
    std::string directory = ::testing::TempDir() + "helper-XXXXXX";
    EXPECT_NE(::mkdtemp(directory.data()), nullptr);
    directory_ = directory;
    std::ofstream(path()) << text;
    std::filesystem::permissions(path(), std::filesystem::perms::owner_all);
  }
  HelperProgram(const HelperProgram&) = delete;
  ~HelperProgram() { std::filesystem::remove_all(directory_); }

  std::string path() const { return directory_ / "helper"; }

 private:
  std::filesystem::path directory_;
};

}  // namespace pagurus::net::testing
