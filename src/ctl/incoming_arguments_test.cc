#include "ctl/incoming_arguments.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace pagurus::ctl {
namespace {

using Words = std::vector<std::string>;

const Words kAdded = {
    "-chardev", "socket,id=pagurusctl,fd=3", "-mon", "chardev=pagurusctl,mode=control", "-D", "fd:4", "-incoming",
    "defer"};

Words with_added(Words words) {
  words.insert(words.end(), kAdded.begin(), kAdded.end());
  return words;
}

Words rewrite(const Words& running) {
  auto result = incoming_arguments(running, "/usr/bin/new", std::nullopt);
  EXPECT_TRUE(result.has_value()) << result.error().message();
  return result.value_or(Words());
}

TEST(IncomingArguments, keep_what_describes_the_machine) {
  EXPECT_EQ(rewrite({"./pagurus", "-m", "256M", "-no-reboot", "-kernel", "a b", "-append", "-S -incoming x", "-qmp",
                     "unix:/run/a,server=on,wait=off", "-serial", "stdio"}),
            with_added({"/usr/bin/new", "-m", "256M", "-no-reboot", "-kernel", "a b", "-append", "-S -incoming x",
                        "-qmp", "unix:/run/a,server=on,wait=off", "-serial", "stdio"}));
}

TEST(IncomingArguments, drop_what_belongs_to_the_old_process) {
  EXPECT_EQ(rewrite({"pagurus", "-S", "-daemonize", "--incoming", "unix:/x", "-qmp", "stdio", "-m", "1G"}),
            with_added({"/usr/bin/new", "-m", "1G"}));
  EXPECT_EQ(rewrite({"pagurus", "-chardev", "socket,id=c,fd=9", "-mon", "c,mode=control", "-chardev", "stdio,id=s",
                     "-mon", "chardev=s,mode=control", "-chardev", "null,id=n"}),
            with_added({"/usr/bin/new", "-chardev", "null,id=n"}));
}

TEST(IncomingArguments, a_console_on_a_descriptor_and_a_listening_monitor_stay) {
  Words running = {"pagurus",
                   "-chardev",
                   "socket,id=q,path=/run/q,server=on,wait=off",
                   "-mon",
                   "chardev=q,mode=control",
                   "-chardev",
                   "stdio,id=s",
                   "-serial",
                   "chardev:s"};
  Words expected = running;
  expected[0] = "/usr/bin/new";
  EXPECT_EQ(rewrite(running), with_added(expected));
}

TEST(IncomingArguments, are_stable_over_many_upgrades) {
  Words first = rewrite({"pagurus", "-m", "64", "-S", "-daemonize"});
  Words second = rewrite(first);
  EXPECT_EQ(first, second);
  EXPECT_EQ(rewrite(second), second);
}

TEST(IncomingArguments, a_log_file_of_the_operator_stays) {
  Words words = rewrite({"pagurus", "-D", "/var/log/p"});
  EXPECT_EQ(std::ranges::count(words, "-D"), 1);
  EXPECT_EQ(words[2], "/var/log/p");
}

TEST(IncomingArguments, what_is_no_command_line_is_refused) {
  EXPECT_FALSE(incoming_arguments({}, "/b", {}).has_value());
  EXPECT_FALSE(incoming_arguments({"pagurus", "word"}, "/b", {}).has_value());
  EXPECT_EQ(incoming_arguments({"pagurus", "-m"}, "/b", {}).error().message(),
            "the running command line ends after '-m'");
}

TEST(IncomingArguments, have_the_network_as_it_is_if_that_has_changed) {
  NetworkWords network{.netdevs = {R"({"type": "tap", "id": "n1"})"}, .devices = {R"({"netdev": "n1"})"}};
  auto result = incoming_arguments({"pagurus", "-netdev", "tap,id=n0", "-device", "virtio-net-pci,netdev=n0", "-device",
                                    "isa-serial,chardev=c", "-netdev", R"({"type": "tap", "id": "n2"})"},
                                   "/usr/bin/new", network);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(*result, with_added({"/usr/bin/new", "-device", "isa-serial,chardev=c", "-netdev", network.netdevs[0],
                                 "-device", network.devices[0]}));
}

}  // namespace
}  // namespace pagurus::ctl
