// Helpers that do their work, and all the ways in which one may not.
#include "net/bridge_helper.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <cerrno>

#include "net/tap.h"
#include "net/testing/helper_program.h"

namespace pagurus::net {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::HelperProgram;
using testing::kPythonHelper;

ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
}

class RunBridgeHelper : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(open_descriptors(), descriptors_); }

  static std::string error_of(const HelperProgram& program) {
    auto fd = run_bridge_helper({.program = program.path()});
    return fd ? "none" : fd.error().message();
  }

 private:
  ptrdiff_t descriptors_ = open_descriptors();
};

TEST_F(RunBridgeHelper, takes_the_descriptor_and_gives_the_helper_nothing_but_the_socket) {
  HelperProgram program(std::string(kPythonHelper) +
                        "if sys.argv[1:] != ['--use-vnet', '--fd=3', '--br=br7']: sys.exit(f'words {sys.argv}')\n"
                        "for fd in range(4, 100):\n"
                        "    if os.path.exists(f'/proc/self/fd/{fd}'): sys.exit(f'descriptor {fd} is there')\n"
                        "pass_on(os.open(sys.argv[0], os.O_RDONLY))\n");
  UniqueFd inherited(::fcntl(STDIN_FILENO, F_DUPFD, 50));  // not close-on-exec
  auto fd = run_bridge_helper({.program = program.path(), .bridge = "br7"});
  ASSERT_TRUE(fd) << fd.error().message();
  struct stat arrived {
  }, sent{};
  ASSERT_EQ(::fstat(fd->get(), &arrived), 0);
  ASSERT_EQ(::stat(program.path().c_str(), &sent), 0);
  EXPECT_EQ(arrived.st_ino, sent.st_ino);
  EXPECT_EQ(::fcntl(fd->get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(RunBridgeHelper, tells_the_status_and_what_the_helper_said) {
  HelperProgram program(
      "#!/bin/sh\necho 'access denied by acl file' >&2\nprintf 'b\\303\\244d\\033[1m\\n' >&2\nexit 1\n");
  EXPECT_EQ(error_of(program),
            "bridge helper '" + program.path() + "' failed with status 1: access denied by acl file b??d\\x1b[1m");
  HelperProgram killed("#!/bin/sh\nkill -9 $$\n");
  EXPECT_THAT(error_of(killed), EndsWith("failed with signal 9"));
  HelperProgram talker("#!/bin/sh\nyes | head -c 300000 >&2\nexit 3\n");
  EXPECT_THAT(error_of(talker), HasSubstr("failed with status 3: y y "));
  EXPECT_LT(error_of(talker).size(), 1200u);
}

TEST_F(RunBridgeHelper, a_descriptor_of_a_helper_that_failed_is_closed) {
  HelperProgram program(std::string(kPythonHelper) + "pass_on(0)\nsys.exit(1)\n");
  EXPECT_THAT(error_of(program), EndsWith("failed with status 1"));
}

TEST_F(RunBridgeHelper, one_that_passes_none_is_refused) {
  EXPECT_THAT(error_of(HelperProgram("#!/bin/sh\nexit 0\n")), EndsWith("passed no file descriptor"));
  EXPECT_THAT(error_of(HelperProgram("#!/bin/sh\necho words >&3\necho done >&2\n")),
              EndsWith("passed no file descriptor: done"));
}

TEST_F(RunBridgeHelper, of_several_descriptors_only_the_first_arrives) {
  HelperProgram program(std::string(kPythonHelper) + "pass_on(0, 1, 2)\npass_on(0)\n");
  EXPECT_EQ(error_of(program), "none");
}

TEST_F(RunBridgeHelper, one_that_does_not_end_is_stopped) {
  HelperProgram program("#!/bin/sh\necho $$ >&2\nexec sleep 1000\n");
  auto fd = run_bridge_helper({.program = program.path(), .patience = std::chrono::seconds(1)});
  ASSERT_FALSE(fd);
  std::string message = fd.error().message();
  auto words = message.find("stopped because it had not ended after 1 seconds: ");
  ASSERT_NE(words, message.npos) << message;
  pid_t pid = std::stoi(message.substr(message.rfind(' ')));
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(RunBridgeHelper, is_not_kept_by_what_the_helper_leaves_behind) {
  HelperProgram program("#!/bin/sh\nsleep 1000 &\necho $! >&2\nexit 1\n");
  std::string message = error_of(program);
  ASSERT_THAT(message, HasSubstr("failed with status 1: "));
  EXPECT_EQ(::kill(std::stoi(message.substr(message.rfind(' '))), SIGKILL), 0);
}

TEST_F(RunBridgeHelper, a_program_that_is_not_there_is_named) {
  auto fd = run_bridge_helper({.program = "/nonexistent/helper --br=x"});
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().message(),
            "bridge helper '/nonexistent/helper --br=x': cannot run '/nonexistent/helper --br=x': No such file or "
            "directory");
}

TEST_F(RunBridgeHelper, what_is_no_tap_is_refused_with_the_name_of_the_netdev) {
  HelperProgram program(std::string(kPythonHelper) + "pass_on(os.open('/dev/null', os.O_RDWR))\n");
  NamedFds fds;
  auto tap = Tap::create({.id = "n0", .helper = BridgeHelper{.program = program.path()}}, fds);
  auto opened = tap->open();
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message(), ::testing::StartsWith("netdev 'n0': file descriptor"));
  EXPECT_THAT(opened.error().message(), HasSubstr("is not a TAP"));
  EXPECT_TRUE(tap->pending());
}

}  // namespace
}  // namespace pagurus::net
