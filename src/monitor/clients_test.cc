#include "monitor/clients.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "monitor/io_thread.h"
#include "monitor/testing/client.h"

namespace pagurus::monitor {
namespace {

using qapi::Json;
using testing::Client;

// A control loop and an I/O thread, as in a process; `block` keeps the control thread until release().
class ClientsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    control_ = std::move(*event::Loop::create());
    io_ = std::move(*IoThread::create());
    table_.add({.name = "next"}, [this](qapi::Call&, const Json&) -> Result<Json> { return Json(++counter_); });
    table_.add({.name = "urgent", .oob = true}, [](qapi::Call&, const Json&) -> Result<Json> { return "urgent"; });
    table_.add({.name = "block"}, [this](qapi::Call&, const Json&) -> Result<Json> {
      std::unique_lock lock(lock_);
      blocked_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return !blocked_; });
      return "released";
    });
    table_.add({.name = "tell"}, [this](qapi::Call&, const Json&) -> Result<Json> {
      clients_->post_event({"TOLD", Json()}, 0);
      return "told";
    });
    clients_ =
        std::make_unique<Clients>(Clients::Environment{.loop = io_->loop(), .control = *control_, .commands = table_});
    io_->start();
    thread_ = std::thread([this] { static_cast<void>(control_->run()); });
  }

  void TearDown() override {
    release();
    control_->post([this] { control_->exit(0); });
    thread_.join();
    io_->stop([this] { clients_->finish(); });
    clients_.reset();
  }

  void release() {
    std::lock_guard lock(lock_);
    blocked_ = false;
    changed_.notify_all();
  }
  void wait_until_blocked() {
    std::unique_lock lock(lock_);
    changed_.wait(lock, [this] { return blocked_; });
  }

  void connect(Client& client) { clients_->post_client(client.take_server_end()); }
  void negotiate(Client& client, const char* request = testing::kNegotiate) {
    connect(client);
    client.line();
    ASSERT_EQ(client.ask(request), R"({"return": {}})");
  }
  void negotiate_oob(Client& client) {
    negotiate(client, R"({"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}})");
  }

  std::unique_ptr<event::Loop> control_;
  std::unique_ptr<IoThread> io_;
  qapi::CommandTable table_;
  std::unique_ptr<Clients> clients_;
  int counter_ = 0;  // on the control thread
  std::mutex lock_;
  std::condition_variable changed_;
  bool blocked_ = false;  // guarded by lock_
  std::thread thread_;
};

TEST_F(ClientsTest, out_of_band_commands_are_served_while_the_control_thread_is_busy) {
  Client client;
  Client other;
  negotiate_oob(client);
  negotiate_oob(other);
  client.send(R"({"execute": "block", "id": 1} {"execute": "next", "id": 2})");
  wait_until_blocked();
  EXPECT_EQ(client.ask(R"({"exec-oob": "urgent", "id": 3})"), R"({"return": "urgent", "id": 3})");
  EXPECT_EQ(other.ask(R"({"exec-oob": "urgent"})"), R"({"return": "urgent"})");
  // New clients are greeted, and protocol errors answered.
  Client third;
  negotiate(third);
  EXPECT_TRUE(third.ask("[]").starts_with(R"({"error")"));
  release();
  EXPECT_EQ(client.line(), R"({"return": "released", "id": 1})");
  EXPECT_EQ(client.line(), R"({"return": 1, "id": 2})");
}

TEST_F(ClientsTest, an_event_comes_before_the_reply_of_the_command_that_caused_it) {
  Client client;
  negotiate(client);
  EXPECT_EQ(client.ask(R"({"execute": "tell"})"),
            R"({"timestamp": {"seconds": 0, "microseconds": 0}, "event": "TOLD"})");
  EXPECT_EQ(client.line(), R"({"return": "told"})");
}

TEST_F(ClientsTest, ten_thousand_pipelined_commands_are_answered_in_order) {
  Client client;
  negotiate(client);
  constexpr int kCommands = 10'000;
  std::thread writer([&] {
    for (int i = 0; i < kCommands; ++i) client.send("{\"execute\": \"next\", \"id\": " + std::to_string(i) + "}\n");
  });
  for (int i = 0; i < kCommands; ++i) {
    ASSERT_EQ(client.line(), "{\"return\": " + std::to_string(i + 1) + ", \"id\": " + std::to_string(i) + "}");
  }
  writer.join();
}

TEST_F(ClientsTest, many_clients_have_sessions_of_their_own) {
  std::array<Client, 64> clients;
  for (Client& client : clients) connect(client);
  for (Client& client : clients) client.line();
  for (Client& client : clients) client.send(testing::kNegotiate);
  for (Client& client : clients) ASSERT_EQ(client.line(), R"({"return": {}})");
  for (Client& client : clients) client.send(R"({"execute": "next"})");
  for (Client& client : clients) ASSERT_TRUE(client.line().starts_with(R"({"return": )"));
  clients_->post_event({"HELLO", Json()}, 0);
  for (Client& client : clients) ASSERT_TRUE(client.line().ends_with(R"("event": "HELLO"})"));
}

TEST_F(ClientsTest, a_client_beyond_the_limit_is_turned_away) {
  std::vector<Client> clients(Clients::kMaxClients);
  for (Client& client : clients) connect(client);
  for (Client& client : clients) ASSERT_TRUE(client.line().starts_with(R"({"QMP")"));
  Client late;
  connect(late);
  EXPECT_EQ(late.line(), "<closed>");
}

TEST_F(ClientsTest, slow_clients_are_cut_off_and_the_others_told_at_a_limited_rate) {
  Client good;
  std::array<Client, 5> slow;
  negotiate(good);
  for (Client& client : slow) negotiate(client);
  std::string text(60'000, 'x');
  int disconnected = 0;
  auto read = [&](const std::string& line) { disconnected += line.contains("MONITOR_DISCONNECTED") ? 1 : 0; };
  for (int i = 0; i < 30; ++i) {
    clients_->post_event({"BIG", Json::object({{"text", text}})}, 0);
    std::string line = good.line();
    read(line);
    if (line.contains("MONITOR_DISCONNECTED")) good.line();
  }
  // Five at once: the first is told, and the last later.
  EXPECT_EQ(disconnected, 1);
  std::string last = good.line(3000);
  EXPECT_TRUE(last.ends_with(R"("event": "MONITOR_DISCONNECTED", "data": {"reason": "slow"}})")) << last;
  EXPECT_EQ(good.line(1200), "<timeout>");
  EXPECT_EQ(good.ask(R"({"execute": "next"})"), R"({"return": 1})");
}

TEST_F(ClientsTest, a_client_that_leaves_while_its_command_runs_is_forgotten) {
  {
    Client client;
    negotiate(client);
    client.send(R"({"execute": "block"})");
    wait_until_blocked();
  }
  release();
  Client next;
  negotiate(next);
  EXPECT_EQ(next.ask(R"({"execute": "next"})"), R"({"return": 1})");
}

TEST_F(ClientsTest, what_is_held_back_is_sent_at_the_end) {
  Client client;
  negotiate(client);
  clients_->post_event({"MONITOR_DISCONNECTED", Json::object({{"reason", "a"}})}, 0);
  clients_->post_event({"MONITOR_DISCONNECTED", Json::object({{"reason", "b"}})}, 0);
  EXPECT_TRUE(client.line().contains(R"("reason": "a")"));
  io_->stop([this] { clients_->finish(); });
  EXPECT_TRUE(client.line().contains(R"("reason": "b")"));
}

}  // namespace
}  // namespace pagurus::monitor
