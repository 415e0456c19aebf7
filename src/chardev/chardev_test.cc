#include "chardev/chardev.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/unix_listener.h"
#include "chardev/socket_backend.h"
#include "chardev/stream_backend.h"
#include "qapi/keyval.h"

namespace pagurus::chardev {
namespace {

struct Guest : Frontend {
  size_t can_receive() override { return room; }
  void receive(std::span<const uint8_t> bytes) override {
    input.append(bytes.begin(), bytes.end());
    room -= bytes.size();
  }
  void writable() override { ++writables; }
  size_t room = SIZE_MAX;
  std::string input;
  int writables = 0;
};

std::span<const uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

struct ChardevTest : testing::Test {
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "pagurus-chardev-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory = pattern;
    loop = std::move(*event::Loop::create());
  }
  void TearDown() override { std::filesystem::remove_all(directory); }

  std::unique_ptr<Backend> make(const std::string& text) {
    auto options = qapi::from_keyval<schema::ChardevOptions>(text);
    EXPECT_TRUE(options);
    auto backend = create_chardev(*options, named_fds, *loop);
    EXPECT_TRUE(backend) << backend.error().message();
    return std::move(*backend);
  }
  std::string error_of(const std::string& text) {
    auto options = qapi::from_keyval<schema::ChardevOptions>(text);
    if (!options) return options.error().message();
    auto backend = create_chardev(*options, named_fds, *loop);
    return backend ? "" : backend.error().message();
  }
  // Opens it, gives it to `guest` and puts it to use.
  std::unique_ptr<Backend> use(const std::string& text) {
    auto backend = make(text);
    auto opened = backend->open();
    EXPECT_TRUE(opened) << opened.error().message();
    backend->attach(&guest);
    backend->thaw();
    return backend;
  }
  // What a hand-over does: lends the descriptors, which then arrive as duplicates.
  Result<void> move(Backend& from, Backend& to) {
    vmstate::Writer writer;
    TRY(from.save(writer));
    std::vector<UniqueFd> fds;
    for (int fd : writer.fds()) fds.push_back(TRY(duplicate(fd)));
    vmstate::Reader reader(writer.bytes(), std::move(fds));
    TRY(to.adopt(reader));
    EXPECT_EQ(reader.unclaimed_fds(), 0u);
    return {};
  }
  // Runs the loop for a while.
  void run(uint64_t microseconds = 20'000) {
    auto watch = loop->after(microseconds, [this] { loop->exit(0); });
    ASSERT_TRUE(watch);
    ASSERT_TRUE(loop->run());
  }
  std::string path(const std::string& name) const { return (directory / name).string(); }

  std::filesystem::path directory;
  std::unique_ptr<event::Loop> loop;
  NamedFds named_fds;
  Guest guest;
};

std::string read_now(int fd) {
  std::string result;
  char buffer[256];
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  while (::poll(&entry, 1, 50) > 0) {
    ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got <= 0) break;
    result.append(buffer, static_cast<size_t>(got));
  }
  return result;
}

UniqueFd connect_to(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return UniqueFd();
  return fd;
}

TEST_F(ChardevTest, options_are_refused_in_words) {
  EXPECT_NE(error_of("spice,id=c").find("does not accept value 'spice'"), std::string::npos);
  EXPECT_NE(error_of("stdio").find("'id'"), std::string::npos);
  EXPECT_NE(error_of("file,id=c").find("'path'"), std::string::npos);
  EXPECT_NE(error_of("null,id=c,mux=on").find("'mux' is unexpected"), std::string::npos);
  EXPECT_NE(error_of("socket,id=c,path=/x").find("server=on"), std::string::npos);
  EXPECT_NE(error_of("socket,id=c,path=/x,server=on").find("wait=off"), std::string::npos);
  EXPECT_NE(error_of("socket,id=c,path=/x,fd=3,server=on,wait=off").find("exactly one"), std::string::npos);
  EXPECT_EQ(error_of("socket,id=c,path=/x,server=on,wait=off"), "");
}

// The leak sanitizer decides: an id that needs memory of its own, and a refusal after it was read.
TEST_F(ChardevTest, a_refused_option_leaves_nothing_behind) {
  std::string id(100, 'c');
  EXPECT_NE(error_of("file,id=" + id).find("'path'"), std::string::npos);
  EXPECT_NE(error_of("fd,id=" + id).find("'fd'"), std::string::npos);
}

TEST_F(ChardevTest, serial_words_expand_to_chardevs) {
  for (const char* text : {"stdio", "null", "file:/tmp/a,b", "unix:/tmp/s,server=on,wait=off"}) {
    auto options = expand_address(text, "serial0");
    ASSERT_TRUE(options) << text;
    auto backend = create_chardev(*options, named_fds, *loop);
    ASSERT_TRUE(backend) << backend.error().message();
    EXPECT_TRUE((*backend)->pending());
  }
  EXPECT_FALSE(expand_address("pty", "serial0"));
}

TEST_F(ChardevTest, a_file_receives_what_is_written_before_and_after_a_move) {
  auto old_side = use("file,id=c,path=" + path("log"));
  EXPECT_EQ(old_side->write(bytes_of("one ")), 4u);
  old_side->freeze();
  EXPECT_EQ(old_side->write(bytes_of("lost")), 0u) << "frozen: nothing is taken";
  auto new_side = make("file,id=c,path=" + path("log"));
  ASSERT_TRUE(move(*old_side, *new_side));
  old_side->release();
  new_side->attach(&guest);
  new_side->thaw();
  EXPECT_EQ(new_side->write(bytes_of("two")), 3u);
  std::stringstream content;
  content << std::ifstream(path("log")).rdbuf();
  EXPECT_EQ(content.str(), "one two");
}

TEST_F(ChardevTest, append_keeps_the_file_and_the_default_does_not) {
  std::ofstream(path("log")) << "old ";
  use("file,id=c,path=" + path("log") + ",append=on")->write(bytes_of("new"));
  EXPECT_EQ(std::filesystem::file_size(path("log")), 7u);
  use("file,id=c,path=" + path("log"));
  EXPECT_EQ(std::filesystem::file_size(path("log")), 0u);
}

TEST_F(ChardevTest, a_full_pipe_is_no_wait_and_no_loss) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd reader(ends[0]);
  named_fds.add("p", UniqueFd(ends[1]));
  auto backend = use("fd,id=c,fd=p");
  guest.writables = 0;
  std::string chunk(1000, 'x');
  size_t sent = 0;
  while (size_t taken = backend->write(bytes_of(chunk))) sent += taken;
  EXPECT_GE(sent, 4096u);
  run();
  EXPECT_EQ(guest.writables, 0);
  EXPECT_EQ(read_now(reader.get()).size(), sent);
  loop = nullptr;
}

TEST_F(ChardevTest, a_pipe_that_drains_says_writable) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd reader(ends[0]);
  named_fds.add("p", UniqueFd(ends[1]));
  auto backend = use("fd,id=c,fd=p");
  guest.writables = 0;
  std::string chunk(1000, 'x');
  while (backend->write(bytes_of(chunk)) != 0) {
  }
  read_now(reader.get());
  run();
  EXPECT_EQ(guest.writables, 1);
}

TEST_F(ChardevTest, a_closed_reader_makes_bytes_vanish) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  named_fds.add("p", UniqueFd(ends[1]));
  auto backend = use("fd,id=c,fd=p");
  ::close(ends[0]);
  EXPECT_EQ(backend->write(bytes_of("gone")), 4u);
}

TEST_F(ChardevTest, input_stops_while_the_guest_has_no_room_and_ends_without_spinning) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ASSERT_EQ(::write(ends[1], "abcdef", 6), 6);
  ::close(ends[1]);
  named_fds.add("p", UniqueFd(ends[0]));
  guest.room = 4;
  auto backend = use("fd,id=c,fd=p");
  auto resume = loop->after(10'000, [&] {
    EXPECT_EQ(guest.input, "abcd");
    guest.room = 100;
    backend->want_input();
  });
  auto cpu_before = std::clock();
  run(200'000);
  EXPECT_EQ(guest.input, "abcdef");
  EXPECT_LT(std::clock() - cpu_before, CLOCKS_PER_SEC / 10) << "end of file must not spin";
}

TEST_F(ChardevTest, a_regular_file_can_be_the_input) {
  std::ofstream(path("in")) << "from a file";
  UniqueFd fd(::open(path("in").c_str(), O_RDONLY | O_CLOEXEC));
  named_fds.add("f", std::move(fd));
  auto backend = use("fd,id=c,fd=f");
  run();
  EXPECT_EQ(guest.input, "from a file");
}

TEST_F(ChardevTest, o_nonblock_of_a_given_descriptor_is_not_touched) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd reader(ends[0]);
  int flags = ::fcntl(ends[1], F_GETFL);
  UniqueFd writer(*duplicate(ends[1]));
  named_fds.add("p", UniqueFd(ends[1]));
  auto backend = use("fd,id=c,fd=p");
  backend->write(bytes_of("x"));
  EXPECT_EQ(::fcntl(writer.get(), F_GETFL), flags);
}

// Puts a pseudo-terminal in the place of standard input and output.
struct TerminalTest : ChardevTest {
  void SetUp() override {
    ChardevTest::SetUp();
    saved_in = UniqueFd(::dup(0));
    saved_out = UniqueFd(::dup(1));
    int master = -1;
    int slave = -1;
    ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
    outside = UniqueFd(master);
    ::fflush(stdout);
    ::dup2(slave, 0);
    ::dup2(slave, 1);
    terminal = UniqueFd(slave);
  }
  void TearDown() override {
    ::fflush(stdout);
    ::dup2(saved_in.get(), 0);
    ::dup2(saved_out.get(), 1);
    ChardevTest::TearDown();
  }
  tcflag_t local_flags() const {
    termios attributes{};
    ::tcgetattr(terminal.get(), &attributes);
    return attributes.c_lflag;
  }
  UniqueFd saved_in, saved_out, outside, terminal;
};

TEST_F(TerminalTest, raw_while_in_use_and_restored_at_the_end) {
  tcflag_t before = local_flags();
  {
    auto backend = use("stdio,id=c");
    EXPECT_EQ(local_flags() & (ICANON | ECHO), 0u);
    EXPECT_NE(local_flags() & ISIG, 0u) << "Ctrl-C ends the process";
    ASSERT_EQ(::write(outside.get(), "k", 1), 1);
    run();
    EXPECT_EQ(guest.input, "k");
    backend->write(bytes_of("hi\n"));
    EXPECT_EQ(read_now(outside.get()), "hi\r\n");
  }
  EXPECT_EQ(local_flags(), before);
}

TEST_F(TerminalTest, an_input_that_cannot_be_read_is_none) {
  ASSERT_GE(::dup2(UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC)).get(), STDIN_FILENO), 0);
  auto backend = use("stdio,id=c");
  auto next = make("stdio,id=c");
  auto moved = move(*backend, *next);
  ASSERT_TRUE(moved) << moved.error().message();
  EXPECT_FALSE(next->pending());
}

TEST_F(TerminalTest, signal_off_gives_ctrl_c_to_the_guest) {
  auto backend = use("stdio,id=c,signal=off");
  EXPECT_EQ(local_flags() & ISIG, 0u);
}

TEST_F(TerminalTest, only_the_last_owner_restores_the_terminal) {
  tcflag_t before = local_flags();
  auto old_side = use("stdio,id=c");
  auto new_side = make("stdio,id=c");
  auto failed = make("stdio,id=c");
  old_side->freeze();
  ASSERT_TRUE(move(*old_side, *failed));
  failed.reset();
  EXPECT_NE(local_flags(), before) << "a destination that fails before the commit changes nothing";
  ASSERT_TRUE(move(*old_side, *new_side));
  old_side->release();
  old_side.reset();
  EXPECT_NE(local_flags(), before) << "the other process has the terminal now";
  new_side->attach(&guest);
  new_side->thaw();
  new_side.reset();
  EXPECT_EQ(local_flags(), before);
}

TEST_F(ChardevTest, socket_serves_one_client_after_the_other) {
  auto backend = use("socket,id=c,path=" + path("s") + ",server=on,wait=off");
  EXPECT_EQ(backend->write(bytes_of("nobody hears this")), 17u);
  auto first = connect_to(path("s"));
  auto second = connect_to(path("s"));
  ASSERT_TRUE(first && second);
  ::send(first.get(), "1", 1, 0);
  ::send(second.get(), "2", 1, 0);
  auto step = loop->after(20'000, [&] {
    EXPECT_EQ(guest.input, "1") << "the second client waits";
    backend->write(bytes_of("hello"));
    EXPECT_EQ(read_now(first.get()), "hello");
    first.reset();
  });
  run(300'000);
  EXPECT_EQ(guest.input, "12");
}

TEST_F(ChardevTest, socket_and_its_client_move_and_the_last_owner_unlinks) {
  auto old_side = use("socket,id=c,path=" + path("s") + ",server=on,wait=off");
  auto client = connect_to(path("s"));
  auto new_side = make("socket,id=c,path=" + path("s") + ",server=on,wait=off");
  auto failed = make("socket,id=c,path=" + path("s") + ",server=on,wait=off");
  Guest new_guest;
  auto step = loop->after(20'000, [&] {
    old_side->freeze();
    ::send(client.get(), "in flight", 9, 0);
    EXPECT_TRUE(move(*old_side, *failed));
    failed.reset();
    EXPECT_TRUE(std::filesystem::exists(path("s")));
    EXPECT_TRUE(move(*old_side, *new_side));
    old_side->release();
    old_side.reset();
    EXPECT_TRUE(std::filesystem::exists(path("s")));
    new_side->attach(&new_guest);
    new_side->thaw();
    new_side->write(bytes_of("same connection"));
  });
  run(60'000);
  EXPECT_EQ(guest.input, "");
  EXPECT_EQ(new_guest.input, "in flight");
  EXPECT_EQ(read_now(client.get()), "same connection");
  new_side.reset();
  EXPECT_FALSE(std::filesystem::exists(path("s")));
}

TEST_F(ChardevTest, a_roll_back_goes_on_with_the_same_client) {
  auto backend = use("socket,id=c,path=" + path("s") + ",server=on,wait=off");
  auto client = connect_to(path("s"));
  auto step = loop->after(20'000, [&] {
    backend->freeze();
    backend->thaw();
    backend->write(bytes_of("still here"));
  });
  run(40'000);
  EXPECT_EQ(read_now(client.get()), "still here");
}

TEST_F(ChardevTest, state_with_a_wrong_descriptor_is_refused_and_leaves_it_pending) {
  auto backend = make("socket,id=c,path=" + path("s") + ",server=on,wait=off");
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd other(ends[1]);
  vmstate::Writer writer;
  writer.put<uint32_t>(1);
  writer.put_fd(ends[0]);
  writer.put<uint32_t>(0);
  writer.put<uint32_t>(0);
  std::vector<UniqueFd> fds;
  fds.emplace_back(ends[0]);
  vmstate::Reader reader(writer.bytes(), std::move(fds));
  auto adopted = backend->adopt(reader);
  ASSERT_FALSE(adopted);
  EXPECT_NE(adopted.error().message().find("not a UNIX socket"), std::string::npos) << adopted.error().message();
  EXPECT_TRUE(backend->pending());
}

TEST_F(ChardevTest, a_stream_takes_over_only_what_bytes_flow_through_in_its_direction) {
  struct Case {
    const char* option;
    const char* path;
    int flags;
    bool as_input;
    const char* refusal;  // empty: accepted
  };
  const Case cases[] = {
      {"stdio,id=c", "/dev/null", O_RDONLY, true, ""},
      {"stdio,id=c", "/dev/null", O_WRONLY, false, ""},
      {"stdio,id=c", "/dev/null", O_WRONLY, true, "the input is not open in that direction"},
      {"stdio,id=c", "/dev/null", O_RDONLY, false, "the output is not open in that direction"},
      {"stdio,id=c", "/dev/null", O_PATH, true, "the input is not open in that direction"},
      {"stdio,id=c", "/tmp", O_RDONLY, true, "the input is no file, character device, pipe or socket"},
      {"file,id=c,path=/nonexistent/x", "/dev/null", O_RDWR, true, "a file has no input"},
      {"file,id=c,path=/nonexistent/x", "/dev/null", O_RDWR, false, ""},
  };
  for (const Case& tried : cases) {
    auto backend = make(tried.option);
    UniqueFd fd(::open(tried.path, tried.flags | O_CLOEXEC));
    ASSERT_TRUE(fd);
    bool file = std::string_view(tried.option).starts_with("file");
    StreamState state{.kind = file ? StreamConfig::Kind::kFile : StreamConfig::Kind::kStdio};
    (tried.as_input ? state.input : state.output).push_back(vmstate::Fd::lend(fd.get()));
    vmstate::Writer writer;
    vmstate::write_state(writer, state);
    std::vector<UniqueFd> fds;
    fds.push_back(std::move(fd));
    vmstate::Reader reader(writer.bytes(), std::move(fds));
    auto adopted = backend->adopt(reader);
    std::string said = adopted ? "" : adopted.error().message();
    EXPECT_EQ(adopted.has_value(), *tried.refusal == 0) << tried.option << " " << tried.path << ": " << said;
    EXPECT_NE(said.find(tried.refusal), std::string::npos) << said;
    EXPECT_EQ(backend->pending(), !adopted.has_value());
  }
}

TEST_F(ChardevTest, an_eventfd_and_a_terminal_that_is_none_are_refused) {
  for (bool terminal : {false, true}) {
    auto backend = make("stdio,id=c");
    UniqueFd fd = terminal ? UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)) : std::move(*make_eventfd());
    StreamState state;
    state.input.push_back(vmstate::Fd::lend(fd.get()));
    if (terminal) state.terminal.emplace_back();
    vmstate::Writer writer;
    vmstate::write_state(writer, state);
    std::vector<UniqueFd> fds;
    fds.push_back(std::move(fd));
    vmstate::Reader reader(writer.bytes(), std::move(fds));
    auto adopted = backend->adopt(reader);
    ASSERT_FALSE(adopted);
    const char* words = terminal ? "the input is not the terminal that was announced" : "the input is no file";
    EXPECT_NE(adopted.error().message().find(words), std::string::npos) << adopted.error().message();
    EXPECT_TRUE(backend->pending());
  }
}

TEST_F(ChardevTest, a_listening_socket_is_no_client) {
  auto backend = make("socket,id=c,path=" + path("s") + ",server=on,wait=off");
  auto listener = UnixListener::bind(path("l"));
  ASSERT_TRUE(listener);
  SocketState state;
  state.client.push_back(vmstate::Fd::lend(listener->fd()));
  vmstate::Writer writer;
  vmstate::write_state(writer, state);
  std::vector<UniqueFd> fds;
  fds.push_back(std::move(*duplicate(listener->fd())));
  vmstate::Reader reader(writer.bytes(), std::move(fds));
  auto adopted = backend->adopt(reader);
  ASSERT_FALSE(adopted);
  EXPECT_NE(adopted.error().message().find("a connection is expected"), std::string::npos);
  EXPECT_TRUE(backend->pending());
}

struct UnixListenerTest : ChardevTest {};

TEST_F(UnixListenerTest, the_path_is_private_and_goes_with_its_owner) {
  {
    auto listener = UnixListener::bind(path("l"));
    ASSERT_TRUE(listener) << listener.error().message();
    struct stat info {};
    ASSERT_EQ(::lstat(path("l").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
    auto nobody = listener->accept();
    ASSERT_TRUE(nobody);
    EXPECT_FALSE(*nobody);
    auto client = connect_to(path("l"));
    auto accepted = listener->accept();
    ASSERT_TRUE(accepted);
    EXPECT_TRUE(*accepted);
  }
  EXPECT_FALSE(std::filesystem::exists(path("l")));
}

TEST_F(UnixListenerTest, a_live_one_is_refused_and_a_stale_one_replaced) {
  {
    auto alive = UnixListener::bind(path("l"));
    ASSERT_TRUE(alive);
    auto second = UnixListener::bind(path("l"));
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message().find("address in use"), std::string::npos);
    alive->release();
  }
  EXPECT_TRUE(std::filesystem::exists(path("l"))) << "released: not ours to unlink";
  EXPECT_TRUE(UnixListener::bind(path("l")));
}

TEST_F(UnixListenerTest, what_is_no_socket_is_not_removed) {
  std::ofstream(path("l")) << "precious";
  auto listener = UnixListener::bind(path("l"));
  ASSERT_FALSE(listener);
  EXPECT_NE(listener.error().message().find("is not a socket"), std::string::npos);
  EXPECT_EQ(std::filesystem::file_size(path("l")), 8u);
}

TEST_F(UnixListenerTest, a_path_that_someone_else_bound_since_stays) {
  auto listener = UnixListener::bind(path("l"));
  ASSERT_TRUE(listener);
  std::filesystem::remove(path("l"));
  // Keeps the removed socket's inode number from being used again.
  std::ofstream(path("other")) << "x";
  auto later = UnixListener::bind(path("l"));
  ASSERT_TRUE(later);
  *listener = std::move(*UnixListener::bind(path("elsewhere")));
  EXPECT_TRUE(std::filesystem::exists(path("l")));
}

TEST_F(UnixListenerTest, a_path_that_is_not_the_sockets_is_not_taken) {
  std::ofstream(path("precious")) << "text";
  {
    auto listener = UnixListener::bind(path("l"));
    ASSERT_TRUE(listener);
    listener->release();
    listener->take_path(path("precious"));
    EXPECT_EQ(listener->path(), "");
  }
  EXPECT_TRUE(std::filesystem::exists(path("precious")));
}

TEST_F(UnixListenerTest, impossible_paths_are_refused) {
  EXPECT_FALSE(UnixListener::bind(""));
  auto result = UnixListener::bind("/" + std::string(200, 'x'));
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("too long"), std::string::npos);
}

}  // namespace
}  // namespace pagurus::chardev
