#include "monitor/session.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "monitor/protocol.h"

namespace pagurus::monitor {
namespace {

using qapi::Json;

constexpr const char* kNegotiate = R"({"execute": "qmp_capabilities"})";

// A session on a loop of its own thread; the test is its client, over the other end of a socket pair.
class SessionTest : public testing::Test {
 protected:
  void SetUp() override {
    loop_ = std::move(*event::Loop::create());
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    client_.reset(pair[0]);
    server_fd_ = pair[1];
    table_.add("echo", [](Call& call) -> Result<Json> {
      std::string text = TRY(call.arguments.take_string("text"));
      TRY(call.arguments.finish());
      return Json::object({{"text", text}});
    });
    table_.add("count-fds", [](Call& call) -> Result<Json> { return Json(call.fds.size()); });
    table_.add("missing-device", [](Call&) -> Result<Json> {
      return std::unexpected(Error("Device 'x' not found", ErrorClass::kDeviceNotFound));
    });
    session_ =
        std::move(*Session::create(*loop_, {UniqueFd(server_fd_), UniqueFd()}, table_, [this] { closed_ = true; }));
    thread_ = std::thread([this] { static_cast<void>(loop_->run()); });
  }

  void TearDown() override {
    loop_->post([this] { loop_->exit(0); });
    thread_.join();
    session_.reset();
  }

  void send_text(std::string_view text) {
    ASSERT_EQ(write(client_.get(), text.data(), text.size()), ssize_t(text.size()));
  }

  void send_with_fds(std::string_view text, const std::vector<int>& fds) {
    alignas(cmsghdr) char control[256] = {};
    iovec bytes{const_cast<char*>(text.data()), text.size()};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(part), fds.data(), fds.size() * sizeof(int));
    ASSERT_EQ(sendmsg(client_.get(), &message, 0), ssize_t(text.size()));
  }

  // One line, without its end; "<timeout>" or "<closed>" if none comes.
  std::string line() {
    while (input_.find('\n') == std::string::npos) {
      pollfd ready{client_.get(), POLLIN, 0};
      if (poll(&ready, 1, 5000) != 1) return "<timeout>";
      char buffer[65536];
      ssize_t size = read(client_.get(), buffer, sizeof buffer);
      if (size <= 0) return "<closed>";
      input_.append(buffer, static_cast<size_t>(size));
    }
    std::string result = input_.substr(0, input_.find('\n'));
    input_.erase(0, result.size() + 1);
    if (result.ends_with('\r')) result.pop_back();
    return result;
  }

  std::string ask(std::string_view text) {
    send_text(text);
    return line();
  }

  void negotiate() {
    line();
    ASSERT_EQ(ask(kNegotiate), R"({"return": {}})");
  }

  void emit(const Json& message) {
    loop_->post([this, message] { session_->send_event(message); });
  }

  std::unique_ptr<event::Loop> loop_;
  CommandTable table_;
  UniqueFd client_;
  int server_fd_ = -1;
  std::unique_ptr<Session> session_;
  std::atomic<bool> closed_{false};
  std::thread thread_;
  std::string input_;
};

TEST_F(SessionTest, greets_with_the_version) {
  auto greeting = qapi::parse_json(line());
  const Json* qmp = greeting->find("QMP");
  ASSERT_NE(qmp, nullptr);
  EXPECT_NE(qmp->find("version")->find("qemu")->find("major"), nullptr);
  EXPECT_EQ(qmp->find("capabilities")->text(), "[]");
}

TEST_F(SessionTest, commands_before_the_negotiation_are_refused) {
  line();
  EXPECT_EQ(ask(R"({"execute": "echo", "arguments": {"text": "x"}, "id": 1})"),
            R"({"error": {"class": "CommandNotFound", "desc": "Expecting capabilities negotiation with )"
            R"('qmp_capabilities'"}, "id": 1})");
  EXPECT_EQ(ask(R"({"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}})"),
            R"({"error": {"class": "GenericError", "desc": "Capability 'oob' is not available"}})");
  EXPECT_EQ(ask(kNegotiate), R"({"return": {}})");
  EXPECT_EQ(ask(R"({"execute": "echo", "arguments": {"text": "x"}})"), R"({"return": {"text": "x"}})");
  EXPECT_TRUE(ask(kNegotiate).starts_with(R"({"error": {"class": "CommandNotFound")"));
}

TEST_F(SessionTest, ids_of_every_type_come_back) {
  negotiate();
  EXPECT_EQ(ask(R"({"id": {"a": [1, null]}, "execute": "echo", "arguments": {"text": ""}})"),
            R"({"return": {"text": ""}, "id": {"a": [1, null]}})");
  EXPECT_EQ(ask(R"({"id": "s", "execute": "nothing"})"),
            R"({"error": {"class": "CommandNotFound", "desc": "The command nothing has not been found"}, "id": "s"})");
  EXPECT_EQ(ask(R"({"execute": "missing-device"})"),
            R"({"error": {"class": "DeviceNotFound", "desc": "Device 'x' not found"}})");
}

TEST_F(SessionTest, malformed_requests_are_answered_and_survived) {
  negotiate();
  const std::pair<const char*, const char*> kCases[] = {
      {"[1]", "QMP input must be a JSON object"},
      {"{}", "QMP input lacks member 'execute'"},
      {R"({"execute": 1})", "QMP input member 'execute' must be a string"},
      {R"({"execute": "echo", "arguments": []})", "QMP input member 'arguments' must be an object"},
      {R"({"execute": "echo", "foo": 1})", "QMP input member 'foo' is unexpected"},
      {R"({"execute": "echo"})", "Parameter 'text' is missing"},
      {R"({"execute": "echo", "arguments": {"text": 5}})", "Invalid parameter type for 'text', expected: string"},
      {R"({"execute": "echo", "arguments": {"text": "", "x": 1}})", "Parameter 'x' is unexpected"},
      {R"({"execute": "echo", "execute": "echo"})", "JSON parse error, duplicate key 'execute'"},
  };
  for (auto [request, reason] : kCases) {
    std::string expected = R"({"error": {"class": "GenericError", "desc": ")" + std::string(reason) + R"("}})";
    EXPECT_EQ(ask(std::string(request) + "\n"), expected) << request;
  }
  EXPECT_TRUE(ask("{\"execute\" nonsense}\n")
                  .starts_with(R"({"error": {"class": "GenericError", "desc": "JSON parse error, )"));
  EXPECT_EQ(ask(R"({"execute": "echo", "arguments": {"text": "alive"}})"), R"({"return": {"text": "alive"}})");
}

TEST_F(SessionTest, a_request_may_arrive_in_pieces_and_several_at_once) {
  negotiate();
  send_text(R"({"execute": "ec)");
  send_text(R"(ho", "arguments": {"text": "1"}}{"execute": "echo", "arguments": {"text": "2"}} {"exe)");
  EXPECT_EQ(line(), R"({"return": {"text": "1"}})");
  EXPECT_EQ(line(), R"({"return": {"text": "2"}})");
  EXPECT_EQ(ask(R"(cute": "echo", "arguments": {"text": "3"}})"), R"({"return": {"text": "3"}})");
}

TEST_F(SessionTest, events_reach_negotiated_sessions_only) {
  line();
  Json stop = event("STOP", Json(), 1'500'000'000);
  emit(stop);
  EXPECT_EQ(ask(kNegotiate), R"({"return": {}})");
  emit(stop);
  EXPECT_EQ(line(), R"({"timestamp": {"seconds": 1, "microseconds": 500000}, "event": "STOP"})");
}

TEST_F(SessionTest, descriptors_belong_to_the_command_they_came_with) {
  negotiate();
  UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  send_with_fds(R"({"execute": "count-fds"})", {null.get(), null.get()});
  EXPECT_EQ(line(), R"({"return": 2})");
  EXPECT_EQ(ask(R"({"execute": "count-fds"})"), R"({"return": 0})");
  send_with_fds(R"({"execute": )", {null.get()});
  EXPECT_EQ(ask(R"("count-fds"})"), R"({"return": 1})");
}

TEST_F(SessionTest, a_client_that_does_not_read_events_is_cut_off) {
  negotiate();
  Json big = event("BIG", Json::object({{"text", std::string(60000, 'x')}}), 0);
  for (int i = 0; i < 100 && !closed_; ++i) emit(big);
  for (int i = 0; i < 500 && !closed_; ++i) usleep(10000);
  EXPECT_TRUE(closed_);
}

TEST_F(SessionTest, a_client_that_does_not_read_replies_is_not_read_from) {
  negotiate();
  // Far more than both socket buffers and the queue hold: the session must stop reading, and lose nothing.
  std::string request = R"({"execute": "echo", "arguments": {"text": ")" + std::string(8000, 'y') + R"("}})";
  constexpr int kRequests = 400;
  std::thread writer([&] {
    for (int i = 0; i < kRequests; ++i) send_text(request);
  });
  usleep(200000);
  EXPECT_FALSE(closed_);
  for (int i = 0; i < kRequests; ++i) ASSERT_EQ(line().size(), 8000u + 24) << i;
  writer.join();
}

TEST_F(SessionTest, the_end_of_the_stream_closes_the_session) {
  negotiate();
  client_.reset();
  for (int i = 0; i < 500 && !closed_; ++i) usleep(10000);
  EXPECT_TRUE(closed_);
}

}  // namespace
}  // namespace pagurus::monitor
