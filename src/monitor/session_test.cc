#include "monitor/session.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "monitor/testing/client.h"

namespace pagurus::monitor {
namespace {

using qapi::Json;
using testing::kNegotiate;

Result<Json> echo(qapi::Call&, const Json& arguments) {
  const Json* text = arguments.find("text");
  if (text == nullptr) return fail("Parameter 'text' is missing");
  return Json::object({{"text", *text}});
}

// A session on a loop of its own thread.  Jobs are executed on that loop too, except while hold() is on.
class SessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    loop_ = std::move(*event::Loop::create());
    table_.add({.name = "echo"}, echo);
    table_.add({.name = "urgent", .oob = true}, echo);
    table_.add({.name = "silent", .success_response = false}, [](qapi::Call&, const Json& arguments) -> Result<Json> {
      if (arguments.find("fail") != nullptr) return fail("as asked");
      return Json::object();
    });
    table_.add({.name = "count-fds"}, [](qapi::Call& call, const Json&) -> Result<Json> { return call.fds.size(); });
    table_.add({.name = "take-fd"}, [](qapi::Call& call, const Json&) -> Result<Json> {
      if (call.fds.empty()) return fail("No file descriptor");
      call.fds.erase(call.fds.begin());
      return Json(call.fds.size());
    });
    table_.add({.name = "missing-device"}, [](qapi::Call&, const Json&) -> Result<Json> {
      return std::unexpected(Error("Device 'x' not found", ErrorClass::kDeviceNotFound));
    });
    session_ = *Session::create({.loop = *loop_,
                                 .commands = table_,
                                 .style = style_,
                                 .execute = [this](Job job) { execute(std::move(job)); },
                                 .on_closed =
                                     [this](Session::End end) {
                                       end_ = end;
                                       closed_ = true;
                                     }},
                                {client_.take_server_end(), UniqueFd()});
    thread_ = std::thread([this] { static_cast<void>(loop_->run()); });
  }

  void TearDown() override {
    loop_->post([this] { loop_->exit(0); });
    thread_.join();
    session_.reset();
  }

  void execute(Job job) {
    ++started_;
    held_job_ = std::make_shared<Job>(std::move(job));
    if (!hold_) finish_job();
  }
  void finish_job() {
    loop_->post([this] {
      if (!held_job_) return;
      std::shared_ptr<Job> job = std::exchange(held_job_, nullptr);
      qapi::Call call{job->fds};
      auto result = table_.execute(job->command, call, job->arguments);
      session_->complete({std::move(result), std::move(job->fds)});
    });
  }

  void negotiate(const char* request = kNegotiate) {
    client_.line();
    ASSERT_EQ(client_.ask(request), R"({"return": {}})");
  }
  std::string ask(std::string_view text) { return client_.ask(text); }
  std::string line() { return client_.line(); }
  // An error reply up to this part of its sentence.
  static std::string error_start(std::string_view desc) {
    return R"({"error": {"class": "GenericError", "desc": ")" + std::string(desc);
  }
  static std::string error(std::string_view desc, std::string_view end = "}") {
    return error_start(desc) + "\"}" + std::string(end);
  }

  void emit(qapi::Event event, int64_t at_ns = 0) {
    loop_->post([this, event, at_ns] { session_->send_event(Session::text_of(event_message(event, at_ns), style_)); });
  }
  void wait_until_closed() {
    for (int i = 0; i < 500 && !closed_; ++i) usleep(10000);
    EXPECT_TRUE(closed_);
  }

  std::unique_ptr<event::Loop> loop_;
  qapi::CommandTable table_;
  testing::Client client_;
  Session::Style style_ = Session::Style::kCompact;
  std::unique_ptr<Session> session_;
  std::atomic<bool> closed_{false};
  std::atomic<Session::End> end_{Session::End::kClient};
  std::atomic<bool> hold_{false};
  std::atomic<int> started_{0};
  std::shared_ptr<Job> held_job_;  // shared with tasks of the loop, which must be copyable
  std::thread thread_;
};

TEST_F(SessionTest, greets_with_version_and_capabilities) {
  auto greeting = qapi::parse_json(line());
  const Json* qmp = greeting->find("QMP");
  ASSERT_NE(qmp, nullptr);
  EXPECT_NE(qmp->find("version")->find("qemu")->find("major"), nullptr);
  EXPECT_EQ(qmp->find("capabilities")->text(), R"(["oob"])");
}

TEST_F(SessionTest, commands_before_the_negotiation_are_refused) {
  line();
  EXPECT_EQ(ask(R"({"execute": "echo", "arguments": {"text": "x"}, "id": 1})"),
            R"({"error": {"class": "CommandNotFound", "desc": "Expecting capabilities negotiation with )"
            R"('qmp_capabilities'"}, "id": 1})");
  EXPECT_EQ(ask(kNegotiate), R"({"return": {}})");
  EXPECT_EQ(ask(R"({"execute": "echo", "arguments": {"text": "x"}})"), R"({"return": {"text": "x"}})");
}

TEST_F(SessionTest, a_refused_handshake_can_be_repeated_and_a_successful_one_cannot) {
  line();
  EXPECT_EQ(ask(R"({"execute": "qmp_capabilities", "arguments": {"enable": ["oob", "fake"]}})"),
            error("Parameter 'enable[1]' does not accept value 'fake' (it accepts 'oob')"));
  EXPECT_EQ(ask(R"({"execute": "qmp_capabilities", "arguments": {"enable": [1]}})"),
            error("Invalid parameter type for 'enable[0]', expected: string"));
  EXPECT_EQ(ask(R"({"execute": "qmp_capabilities", "arguments": {"enable": "oob"}})"),
            error("Invalid parameter type for 'enable', expected: array"));
  EXPECT_EQ(ask(R"({"execute": "qmp_capabilities", "arguments": {"enabled": []}})"),
            error("Parameter 'enabled' is unexpected"));
  EXPECT_EQ(ask(R"({"execute": "qmp_capabilities", "arguments": {"enable": []}})"), R"({"return": {}})");
  EXPECT_TRUE(ask(kNegotiate).starts_with(R"({"error": {"class": "CommandNotFound")"));
  // The refused handshake has enabled nothing.
  EXPECT_TRUE(ask(R"({"exec-oob": "urgent", "arguments": {"text": ""}})").starts_with(R"({"error")"));
}

TEST_F(SessionTest, ids_of_every_type_come_back) {
  negotiate();
  EXPECT_EQ(ask(R"({"id": {"a": [1, null]}, "execute": "echo", "arguments": {"text": ""}})"),
            R"({"return": {"text": ""}, "id": {"a": [1, null]}})");
  EXPECT_EQ(ask(R"({"id": null, "execute": "echo", "arguments": {"text": ""}})"),
            R"({"return": {"text": ""}, "id": null})");
  EXPECT_EQ(ask(R"({"id": "s", "execute": "nothing"})"),
            R"({"error": {"class": "CommandNotFound", "desc": "The command nothing has not been found"}, "id": "s"})");
  EXPECT_EQ(ask(R"({"id": 3, "execute": "echo", "extra": 1})"),
            error("QMP input member 'extra' is unexpected", R"(, "id": 3})"));
  EXPECT_EQ(ask(R"({"execute": "missing-device"})"),
            R"({"error": {"class": "DeviceNotFound", "desc": "Device 'x' not found"}})");
}

TEST_F(SessionTest, malformed_requests_are_answered_and_survived) {
  const std::pair<const char*, const char*> kCases[] = {
      {"[1]", "QMP input must be a JSON object"},
      {"{}", "QMP input lacks member 'execute'"},
      {R"({"execute": 1})", "QMP input member 'execute' must be a string"},
      {R"({"exec-oob": {}})", "QMP input member 'exec-oob' must be a string"},
      {R"({"execute": "echo", "exec-oob": "echo"})", "QMP input members 'execute' and 'exec-oob' exclude each other"},
      {R"({"execute": "echo", "arguments": []})", "QMP input member 'arguments' must be an object"},
      {R"({"execute": "echo", "foo": 1})", "QMP input member 'foo' is unexpected"},
      {R"({"execute": "echo", "execute": "echo"})", "JSON parse error, duplicate key 'execute'"},
  };
  auto ask_all = [&] {
    for (auto [request, reason] : kCases) EXPECT_EQ(ask(std::string(request) + "\n"), error(reason)) << request;
    EXPECT_TRUE(ask("{\"execute\" nonsense}\n").starts_with(error_start("JSON parse error, ")));
  };
  line();
  ask_all();
  EXPECT_EQ(ask(kNegotiate), R"({"return": {}})");
  ask_all();
  EXPECT_EQ(ask(R"({"execute": "echo"})"), error("Parameter 'text' is missing"));
  EXPECT_EQ(ask(R"({"execute": "echo", "arguments": {"text": "alive"}})"), R"({"return": {"text": "alive"}})");
}

TEST_F(SessionTest, a_request_may_arrive_in_pieces_and_several_at_once) {
  negotiate();
  client_.send(R"({"execute": "ec)");
  client_.send(R"(ho", "arguments": {"text": "1"}}{"execute": "echo", "arguments": {"text": "2"}} {"exe)");
  EXPECT_EQ(line(), R"({"return": {"text": "1"}})");
  EXPECT_EQ(line(), R"({"return": {"text": "2"}})");
  EXPECT_EQ(ask(R"(cute": "echo", "arguments": {"text": "3"}})"), R"({"return": {"text": "3"}})");
}

TEST_F(SessionTest, lines_end_with_cr_and_lf) {
  EXPECT_TRUE(client_.raw_line().ends_with("\r\n"));
  client_.send(std::string(kNegotiate) + "\r\n");
  EXPECT_EQ(client_.raw_line(), "{\"return\": {}}\r\n");
}

class PrettySessionTest : public SessionTest {
 protected:
  PrettySessionTest() { style_ = Session::Style::kPretty; }
};

TEST_F(PrettySessionTest, everything_is_indented) {
  EXPECT_EQ(line(), "{");
  while (line() != "}") {
  }
  client_.send(R"({"execute": "qmp_capabilities", "id": [1]})");
  for (const char* expected : {"{", R"(  "return": {},)", R"(  "id": [)", "    1", "  ]", "}"}) {
    EXPECT_EQ(line(), expected);
  }
  emit({"STOP", Json()}, 0);
  EXPECT_EQ(line(), "{");
}

TEST_F(SessionTest, answers_come_in_the_order_of_the_requests_the_wrong_ones_too) {
  negotiate();
  hold_ = true;
  client_.send(R"({"execute": "echo", "arguments": {"text": "1"}} {"execute": "nothing"} [2] nonsense)"
               "\n"
               R"({"execute": "echo", "arguments": {"text": "3"}})");
  EXPECT_EQ(client_.line(100), "<timeout>");
  hold_ = false;
  finish_job();
  EXPECT_EQ(line(), R"({"return": {"text": "1"}})");
  EXPECT_TRUE(line().starts_with(R"({"error": {"class": "CommandNotFound")"));
  EXPECT_EQ(line(), error("QMP input must be a JSON object"));
  EXPECT_TRUE(line().starts_with(R"({"error": {"class": "GenericError", "desc": "JSON parse error)"));
  EXPECT_EQ(line(), R"({"return": {"text": "3"}})");
}

TEST_F(SessionTest, an_out_of_band_command_overtakes) {
  negotiate(R"({"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}})");
  hold_ = true;
  client_.send(R"({"execute": "echo", "arguments": {"text": "slow"}} {"execute": "nothing"})");
  EXPECT_EQ(ask(R"({"exec-oob": "urgent", "arguments": {"text": "fast"}, "id": 1})"),
            R"({"return": {"text": "fast"}, "id": 1})");
  EXPECT_EQ(ask(R"({"exec-oob": "echo", "arguments": {"text": ""}, "id": 2})"),
            error("The command echo cannot be executed out of band (use 'execute')", R"(, "id": 2})"));
  EXPECT_EQ(ask(R"({"exec-oob": "urgent", "id": 3})"), error("Parameter 'text' is missing", R"(, "id": 3})"));
  EXPECT_TRUE(ask(R"({"exec-oob": "nothing"})").starts_with(R"({"error": {"class": "CommandNotFound")"));
  finish_job();
  EXPECT_EQ(line(), R"({"return": {"text": "slow"}})");
  EXPECT_TRUE(line().starts_with(R"({"error": {"class": "CommandNotFound")"));
}

TEST_F(SessionTest, out_of_band_is_refused_unless_it_was_negotiated) {
  negotiate();
  std::string answer = ask(R"({"exec-oob": "urgent", "arguments": {"text": ""}, "id": 1})");
  EXPECT_TRUE(answer.starts_with(error_start("QMP input member 'exec-oob' needs the capability 'oob'")));
  EXPECT_TRUE(answer.ends_with(R"("id": 1})"));
}

TEST_F(SessionTest, a_client_with_eight_commands_in_flight_is_not_read) {
  negotiate(R"({"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}})");
  hold_ = true;
  std::string request = R"({"execute": "echo", "arguments": {"text": "x"}} )";
  std::string requests;
  for (size_t i = 0; i < Session::kMaxInFlight; ++i) requests += request;
  client_.send(requests + R"({"exec-oob": "urgent", "arguments": {"text": "late"}})");
  EXPECT_EQ(client_.line(100), "<timeout>");
  EXPECT_EQ(started_, 1);
  finish_job();
  EXPECT_EQ(line(), R"({"return": {"text": "x"}})");
  EXPECT_EQ(line(), R"({"return": {"text": "late"}})");
}

TEST_F(SessionTest, a_command_without_success_response_answers_failures_only) {
  negotiate();
  client_.send(R"({"execute": "silent"})");
  EXPECT_EQ(ask(R"({"execute": "silent", "arguments": {"fail": 1}})"), error("as asked"));
}

TEST_F(SessionTest, events_reach_negotiated_sessions_only) {
  line();
  emit({"STOP", Json()}, 1'500'000'000);
  EXPECT_EQ(ask(kNegotiate), R"({"return": {}})");
  emit({"STOP", Json()}, 1'500'000'000);
  EXPECT_EQ(line(), R"({"timestamp": {"seconds": 1, "microseconds": 500000}, "event": "STOP"})");
}

TEST_F(SessionTest, descriptors_belong_to_the_command_they_came_with) {
  negotiate();
  UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  client_.send_with_fds(R"({"execute": "count-fds"})", {null.get(), null.get()});
  EXPECT_EQ(line(), R"({"return": 2})");
  EXPECT_EQ(ask(R"({"execute": "count-fds"})"), R"({"return": 0})");
  client_.send_with_fds(R"({"execute": )", {null.get()});
  EXPECT_EQ(ask(R"("count-fds"})"), R"({"return": 1})");
  // Some clients send them ahead, with a blank.
  client_.send_with_fds(" ", {null.get()});
  EXPECT_EQ(ask(R"({"execute": "count-fds"})"), R"({"return": 1})");
}

TEST_F(SessionTest, descriptors_of_pipelined_commands_are_kept_apart) {
  negotiate();
  UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  hold_ = true;
  client_.send(R"({"execute": "take-fd"})");
  while (started_ == 0) usleep(1000);
  client_.send(R"({"execute": "count-fds"})");
  client_.send_with_fds(R"({"execute": "take-fd"} {"execute": "take-fd"})", {null.get(), null.get()});
  hold_ = false;
  finish_job();
  EXPECT_EQ(line(), error("No file descriptor"));
  EXPECT_TRUE(line().starts_with(R"({"return": )"));
  EXPECT_EQ(line(), R"({"return": 1})");
  EXPECT_EQ(line(), R"({"return": 0})");
}

TEST_F(SessionTest, a_client_that_does_not_read_events_is_cut_off) {
  negotiate();
  for (int i = 0; i < 100 && !closed_; ++i) {
    emit({"BIG", Json::object({{"text", std::string(60000, 'x')}})});
  }
  wait_until_closed();
  EXPECT_EQ(end_, Session::End::kTooSlow);
}

TEST_F(SessionTest, a_client_that_reads_its_events_late_is_served_on) {
  negotiate();
  std::string text(60000, 'x');
  // More than the socket holds, less than the limit.
  for (int i = 0; i < 15; ++i) emit({"BIG", Json::object({{"text", text}})});
  client_.send(R"({"execute": "echo", "arguments": {"text": "x"}})");
  usleep(50000);
  for (int i = 0; i < 15; ++i) EXPECT_GT(line().size(), text.size());
  EXPECT_EQ(line(), R"({"return": {"text": "x"}})");
  EXPECT_FALSE(closed_);
}

TEST_F(SessionTest, a_client_that_does_not_read_replies_is_not_read_from) {
  negotiate();
  // Far more than both socket buffers and the queue hold: the session must stop reading, and lose nothing.
  std::string request = R"({"execute": "echo", "arguments": {"text": ")" + std::string(8000, 'y') + R"("}})";
  constexpr int kRequests = 400;
  std::thread writer([&] {
    for (int i = 0; i < kRequests; ++i) client_.send(request);
  });
  usleep(200000);
  EXPECT_FALSE(closed_);
  for (int i = 0; i < kRequests; ++i) ASSERT_EQ(line().size(), 8000u + 24) << i;
  writer.join();
}

TEST_F(SessionTest, the_end_of_the_stream_closes_the_session) {
  negotiate();
  client_.hang_up();
  wait_until_closed();
  EXPECT_EQ(end_, Session::End::kClient);
}

TEST_F(SessionTest, what_was_sent_before_the_end_of_the_stream_is_still_answered) {
  negotiate();
  hold_ = true;
  client_.send(R"({"execute": "echo", "arguments": {"text": "1"}} {"execute": "echo", "arguments": {"text": "2"}})");
  client_.end_sending();
  EXPECT_EQ(client_.line(100), "<timeout>");
  EXPECT_FALSE(closed_);
  hold_ = false;
  finish_job();
  EXPECT_EQ(line(), R"({"return": {"text": "1"}})");
  EXPECT_EQ(line(), R"({"return": {"text": "2"}})");
  wait_until_closed();
}

TEST_F(SessionTest, a_client_that_is_gone_gets_no_further_command_executed) {
  negotiate();
  hold_ = true;
  client_.send(R"({"execute": "echo", "arguments": {"text": "1"}} {"execute": "echo", "arguments": {"text": "2"}})");
  while (started_ == 0) usleep(1000);
  client_.hang_up();
  finish_job();
  wait_until_closed();
  EXPECT_EQ(started_, 1);
}

}  // namespace
}  // namespace pagurus::monitor
