#include "app/command_line.h"

#include <gtest/gtest.h>

#include "schema/options.h"

namespace pagurus::app {
namespace {

using Words = std::vector<std::string>;

Words with_kernel(Words words) {
  words.insert(words.end(), {"-kernel", "k"});
  return words;
}

std::string error_of(const Words& words) {
  auto result = parse_command_line(words);
  return result ? "accepted" : result.error().message();
}

TEST(CommandLine, fills_the_machine_configuration) {
  auto result = parse_command_line({"-machine",   "pagurus-1.0,accel=kvm",
                                    "-cpu",       "host",
                                    "-smp",       "cpus=4",
                                    "-m",         "1G",
                                    "--kernel",   "/k",
                                    "-initrd",    "/i",
                                    "-append",    "console=ttyS0",
                                    "-netdev",    "tap,id=n0,ifname=t",
                                    "-device",    "virtio-net-pci,netdev=n0",
                                    "-serial",    "stdio",
                                    "-name",      "guest=g",
                                    "-uuid",      "0123ABCD-0000-0000-0000-00000000000f",
                                    "-no-reboot", "-S",
                                    "-nographic", "-nodefaults",
                                    "-display",   "none"});
  ASSERT_TRUE(result.has_value()) << result.error().message();
  const machine::Config& config = result->config;
  EXPECT_EQ(config.machine_type, "pagurus-1.0");
  EXPECT_EQ(config.vcpus, 4u);
  EXPECT_EQ(config.ram_size, uint64_t{1} << 30);
  EXPECT_EQ(config.kernel, "/k");
  EXPECT_EQ(config.initrd, "/i");
  EXPECT_EQ(config.append, "console=ttyS0");
  EXPECT_EQ(config.netdevs.size(), 1u);
  EXPECT_EQ(config.devices.size(), 1u);
  EXPECT_EQ(config.chardevs.size(), 1u);
  EXPECT_EQ(config.serials.size(), 1u);
  EXPECT_EQ(config.name, "g");
  EXPECT_EQ(config.uuid, "0123abcd-0000-0000-0000-00000000000f");
  EXPECT_EQ(config.on_reset, machine::Config::OnReset::kShutdown);
  EXPECT_TRUE(result->start_paused);
  EXPECT_FALSE(config.incoming);
}

TEST(CommandLine, huge_pages_are_a_memory_backend) {
  auto result = parse_command_line(
      with_kernel({"-m", "256", "-object", "memory-backend-memfd,id=r,size=256M,hugetlb=on,hugetlbsize=2M,share=on",
                   "-machine", "pagurus-1.1,memory-backend=r"}));
  ASSERT_TRUE(result.has_value()) << result.error().message();
  EXPECT_EQ(result->config.ram_pages, memory::Pages::kHuge2M);
}

TEST(CommandLine, control_endpoints_come_from_qmp_and_mon) {
  auto result =
      parse_command_line(with_kernel({"-qmp", "unix:/run/q,server=on,wait=off", "-chardev", "socket,id=c,fd=7", "-mon",
                                      "chardev=c,mode=control", "-qmp", "stdio"}));
  ASSERT_TRUE(result.has_value()) << result.error().message();
  using Kind = monitor::Endpoint::Kind;
  ASSERT_EQ(result->endpoints.size(), 3u);
  EXPECT_EQ(result->endpoints[0].kind, Kind::kListen);
  EXPECT_EQ(result->endpoints[0].path, "/run/q");
  EXPECT_EQ(result->endpoints[1].kind, Kind::kStdio);
  EXPECT_EQ(result->endpoints[2].kind, Kind::kConnected);
  EXPECT_EQ(result->endpoints[2].fd, 7);
  EXPECT_TRUE(result->config.chardevs.empty());
}

TEST(CommandLine, incoming_is_deferred_or_has_an_address) {
  auto deferred = parse_command_line(with_kernel({"-incoming", "defer"}));
  EXPECT_TRUE(deferred->config.incoming);
  EXPECT_FALSE(deferred->incoming_uri.has_value());
  for (const char* uri : {"unix:/x", "tcp:0:4444", "file:/x"}) {
    EXPECT_EQ(parse_command_line(with_kernel({"-incoming", uri}))->incoming_uri, uri);
  }
}

TEST(CommandLine, refusals_are_sentences) {
  const std::pair<Words, std::string> kCases[] = {
      {{"-foo"}, "unknown option '-foo' ('--help' lists the options)"},
      {{"disk.img"}, "'disk.img' is no option; options begin with '-' ('--help' lists them)"},
      {{"-m"}, "-m needs a value: [size=]SIZE"},
      {{"-m", "64", "-m", "64"}, "-m is given twice"},
      {{}, "there is nothing to boot: -kernel is missing"},
      {{"-append", "x"}, "-append needs -kernel"},
      {with_kernel({"-machine", "q35"}), "-machine: machine type 'q35' is not known ('-machine help' lists them)"},
      {with_kernel({"-machine", "pagurus-1.1,accel=tcg"}),
       "-machine: Parameter 'accel' does not accept value 'tcg' (it accepts 'kvm')"},
      {with_kernel({"-machine", "pagurus-1.1,foo=1"}), "-machine: Parameter 'foo' is unexpected"},
      {with_kernel({"-machine", "pagurus-1.1,memory-backend=r"}),
       "-machine: there is no memory backend 'r' (create it with -object)"},
      {with_kernel({"-cpu", "qemu64"}), "-cpu: Parameter 'model' does not accept value 'qemu64' (it accepts 'host')"},
      {with_kernel({"-smp", "9"}), "-smp: 9 CPUs are not supported; give 1 to 8"},
      {with_kernel({"-smp", "0"}), "-smp: 0 CPUs are not supported; give 1 to 8"},
      {with_kernel({"-smp", "2,cores=2"}), "-smp: Parameter 'cores' is unexpected"},
      {with_kernel({"-m", "63"}),
       "-m: 66060288 bytes of RAM are not supported; give a multiple of 2 MiB from 64 MiB to 1024 GiB"},
      {with_kernel({"-m", "1x"}), "-m: Parameter 'size' expects a size such as 512, 64K or 2G"},
      {with_kernel({"-object", "memory-backend-ram,id=r"}),
       "-object: Parameter 'qom-type' does not accept value 'memory-backend-ram' (it accepts 'memory-backend-memfd')"},
      {with_kernel({"-object", "memory-backend-memfd,id=r,size=1G,share=off"}),
       "-object: share=off is not supported: a hand-over passes the memory to another process"},
      {with_kernel({"-object", "memory-backend-memfd,id=r,size=128M"}),
       "-object: 'r' is used by nothing (name it with -machine memory-backend=r)"},
      {with_kernel({"-object", "memory-backend-memfd,id=r,size=64M", "-machine", "pagurus-1.1,memory-backend=r"}),
       "-object: 'r' has 64 MiB, but the machine has 128 MiB of RAM (-m)"},
      {with_kernel({"-qmp", "tcp:localhost:4444"}),
       "-qmp: 'tcp:localhost:4444' is not supported; write unix:PATH,server=on,wait=off or stdio"},
      {with_kernel({"-qmp", "unix:/q"}), "-qmp: a QMP socket is a server: add server=on"},
      {with_kernel({"-qmp", "unix:/q,server=on"}), "-qmp: waiting for a client is not supported: add wait=off"},
      {with_kernel({"-qmp", "unix:/q,server=on,wait=off,tls=1"}), "-qmp: Parameter 'tls' is unexpected"},
      {with_kernel({"-mon", "chardev=c,mode=control"}), "-mon: there is no character device 'c' (or it is used twice)"},
      {with_kernel({"-mon", "chardev=c,mode=readline"}),
       "-mon: Parameter 'mode' does not accept value 'readline' (it accepts 'control')"},
      {with_kernel({"-chardev", "null,id=c", "-mon", "c,mode=control"}),
       "-mon: character device 'c' is a 'null'; QMP needs a socket or stdio"},
      {with_kernel({"-serial", "stdio", "-qmp", "stdio"}),
       "standard input and output can serve only one of -serial, -qmp and -chardev"},
      {with_kernel({"-serial", "stdio", "-daemonize"}),
       "-daemonize leaves no standard input and output, which 'stdio' needs"},
      {with_kernel({"-incoming", "exec:cat"}),
       "-incoming: 'exec:cat' is no migration URI: unix:PATH, tcp:HOST:PORT or file:PATH"},
      {with_kernel({"-display", "gtk"}),
       "-display: 'gtk' is not supported: the machine has no display; 'none' says so"},
      {with_kernel({"-uuid", "1"}), "-uuid: '1' is no UUID; write it as xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"},
      {with_kernel({"-msg", "timestamp=maybe"}), "-msg: Invalid parameter type for 'timestamp', expected: boolean"},
      {with_kernel({"-device", "virtio-gpu-pci,help"}),
       "-device: there is no help for 'virtio-gpu-pci' (there is for 'virtio-net-pci', 'isa-serial')"},
  };
  for (const auto& [words, sentence] : kCases) EXPECT_EQ(error_of(words), sentence);
}

TEST(CommandLine, help_lists_every_option_on_a_line_of_its_own) {
  std::string text = help_text();
  EXPECT_GE(schema::option_table().size(), 25u);
  for (const schema::OptionInfo& option : schema::option_table()) {
    EXPECT_NE(text.find("\n  -" + std::string(option.name) + " "), std::string::npos) << option.name;
  }
}

TEST(CommandLine, what_only_prints_needs_nothing_else) {
  for (const Words& words :
       {Words{"-help"}, Words{"--help"}, Words{"-h"}, Words{"-version"}, Words{"-machine", "help"},
        Words{"-cpu", "help"}, Words{"-netdev", "help"}, Words{"-chardev", "help"}, Words{"-device", "help"},
        Words{"-device", "virtio-net-pci,help"}, Words{"-dump-vmstate"}}) {
    auto result = parse_command_line(words);
    ASSERT_TRUE(result.has_value()) << words[0] << ": " << result.error().message();
    EXPECT_FALSE(result->print.empty()) << words[0];
  }
}

}  // namespace
}  // namespace pagurus::app
