#include "ctl/qmp_client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace pagurus::ctl {
namespace {

using qapi::Json;

// The test plays the server: what it will say is written before the client reads it.
class QmpClientTest : public testing::Test {
 protected:
  void SetUp() override {
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    server_.reset(pair[0]);
    client_fd_.reset(pair[1]);
  }
  void say(std::string_view text) { ASSERT_EQ(write(server_.get(), text.data(), text.size()), ssize_t(text.size())); }
  Result<QmpClient> client(int64_t ms = 2000, int interrupt_fd = -1) {
    say(R"({"QMP": {}}{"return": {}, "id": 1})");
    return QmpClient::over(std::move(client_fd_), "the peer", Patience::of_ms(ms, interrupt_fd));
  }

  UniqueFd server_;
  UniqueFd client_fd_;
};

TEST_F(QmpClientTest, finds_its_reply_among_events_and_keeps_them) {
  auto connected = client();
  ASSERT_TRUE(connected.has_value());
  say(R"({"event": "A"}{"return": "late", "id": 99}{"event": "B"}{"return": 7, "id": 2})");
  EXPECT_EQ(connected->execute("x")->as_int64(), 7);
  EXPECT_EQ((*connected->next_event(0))->find("event")->as_string(), "A");
  EXPECT_EQ((*connected->next_event(0))->find("event")->as_string(), "B");
  EXPECT_FALSE((*connected->next_event(10)).has_value());
}

TEST_F(QmpClientTest, an_error_reply_becomes_a_sentence_with_the_peers_words) {
  auto connected = client();
  say(R"({"error": {"class": "GenericError", "desc": "no way"}, "id": 2})");
  EXPECT_EQ(connected->execute("migrate").error().message(), "the peer refuses 'migrate': no way");
}

TEST_F(QmpClientTest, a_refusal_is_told_apart_from_a_lost_connection) {
  auto connected = client();
  say(R"({"error": {"class": "CommandNotFound", "desc": "no way"}, "id": 2})");
  auto answer = connected->ask({.command = "x"});
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->error().error_class, "CommandNotFound");
  EXPECT_FALSE(connected->closed());
  server_.reset();
  EXPECT_FALSE(connected->ask({.command = "x"}).has_value());
  EXPECT_TRUE(connected->closed());
}

TEST_F(QmpClientTest, out_of_band_is_asked_for_where_it_is_offered) {
  say(R"({"QMP": {"capabilities": ["oob"]}}{"return": {}, "id": 1}{"return": 1, "id": 2})");
  auto connected = QmpClient::over(std::move(client_fd_), "it", Patience::of_ms(2000), QmpClient::Bands::kOutOfBand);
  ASSERT_TRUE(connected.has_value());
  EXPECT_TRUE(connected->ask({.command = "x", .band = QmpRequest::Band::kOut}).has_value());
  char sent[256] = {};
  ASSERT_GT(read(server_.get(), sent, sizeof sent - 1), 0);
  EXPECT_STREQ(sent, R"({"execute": "qmp_capabilities", "id": 1, "arguments": {"enable": ["oob"]}})"
                     "\n"
                     R"({"exec-oob": "x", "id": 2})"
                     "\n");
}

TEST_F(QmpClientTest, events_go_to_their_handler_as_they_are_read) {
  auto connected = client();
  std::string seen;
  connected->set_event_handler([&](const Json& event) { seen += event.find("event")->as_string(); });
  say(R"({"event": "A"}{"return": 7, "id": 2}{"event": "B"})");
  EXPECT_TRUE(connected->execute("x").has_value());
  EXPECT_EQ(seen, "A");
  EXPECT_TRUE(connected->receive_events().has_value());
  EXPECT_EQ(seen, "AB");
  server_.reset();
  EXPECT_FALSE(connected->receive_events().has_value());
  EXPECT_TRUE(connected->closed());
}

TEST_F(QmpClientTest, silence_ends_in_an_error_at_the_deadline) {
  auto connected = client(100);
  EXPECT_EQ(connected->execute("x").error().message(), "the peer did not answer in time");
}

TEST_F(QmpClientTest, an_interruption_ends_the_waiting) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  auto connected = client(60'000, reader.get());
  ASSERT_EQ(write(writer.get(), "x", 1), 1);
  EXPECT_EQ(connected->execute("x").error().message(), "interrupted");
}

TEST_F(QmpClientTest, a_closed_connection_and_a_stranger_are_named) {
  auto connected = client();
  server_.reset();
  EXPECT_FALSE(connected->execute("x").has_value());
  SetUp();
  say("SSH-2.0-OpenSSH\n");
  EXPECT_FALSE(QmpClient::over(std::move(client_fd_), "it", Patience::of_ms(500)).has_value());
}

}  // namespace
}  // namespace pagurus::ctl
