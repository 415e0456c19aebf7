#include "monitor/listener.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

namespace pagurus::monitor {
namespace {

// Two listeners on one loop stand for the two processes of a hand-over.
class ListenerTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/pagurus-listener-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/qmp";
    loop_ = std::move(*event::Loop::create());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Result<std::unique_ptr<Listener>> make(Listener::Start start, int& clients) {
    return Listener::create(*loop_, path_, start, [&clients](UniqueFd) { ++clients; });
  }

  UniqueFd connect_client() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path_.c_str());
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) fd.reset();
    return fd;
  }

  void run_briefly() {
    auto timer = loop_->after(100'000, [this] { loop_->exit(0); });
    EXPECT_TRUE(loop_->run().has_value());
  }

  Result<void> move(Listener& from, Listener& to) {
    vmstate::Writer writer;
    TRY(from.save(writer));
    std::vector<UniqueFd> fds;
    for (int fd : writer.fds()) fds.push_back(TRY(duplicate(fd)));
    vmstate::Reader reader(writer.bytes(), std::move(fds));
    return to.adopt(reader);
  }

  std::string directory_;
  std::string path_;
  std::unique_ptr<event::Loop> loop_;
  int source_clients_ = 0;
  int destination_clients_ = 0;
};

TEST_F(ListenerTest, a_new_guest_refuses_a_path_that_is_served) {
  auto first = make(Listener::Start::kNewGuest, source_clients_);
  ASSERT_TRUE(first.has_value());
  EXPECT_FALSE(make(Listener::Start::kNewGuest, destination_clients_).has_value());
}

TEST_F(ListenerTest, an_incoming_guest_leaves_a_served_path_alone_and_takes_a_free_one) {
  {
    auto source = *make(Listener::Start::kNewGuest, source_clients_);
    auto destination = *make(Listener::Start::kIncoming, destination_clients_);
    EXPECT_TRUE(destination->pending());
    destination.reset();
    EXPECT_TRUE(std::filesystem::exists(path_));
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_FALSE((*make(Listener::Start::kIncoming, destination_clients_))->pending());
}

TEST_F(ListenerTest, after_the_commit_the_new_process_serves_and_owns_the_path) {
  auto source = *make(Listener::Start::kNewGuest, source_clients_);
  auto destination = *make(Listener::Start::kIncoming, destination_clients_);
  source->freeze();
  ASSERT_TRUE(move(*source, *destination).has_value());
  destination->thaw();
  source->release();
  source.reset();
  EXPECT_TRUE(std::filesystem::exists(path_));
  UniqueFd client = connect_client();
  EXPECT_TRUE(client);
  int probes = source_clients_;
  run_briefly();
  EXPECT_EQ(source_clients_, probes);
  EXPECT_GE(destination_clients_, 1);
  destination.reset();
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ListenerTest, after_a_roll_back_the_old_process_serves_and_the_new_one_unlinks_nothing) {
  auto source = *make(Listener::Start::kNewGuest, source_clients_);
  auto destination = *make(Listener::Start::kIncoming, destination_clients_);
  source->freeze();
  ASSERT_TRUE(move(*source, *destination).has_value());
  destination.reset();
  source->thaw();
  ASSERT_TRUE(std::filesystem::exists(path_));
  UniqueFd client = connect_client();
  EXPECT_TRUE(client);
  run_briefly();
  EXPECT_GE(source_clients_, 1);
  EXPECT_EQ(destination_clients_, 0);
}

TEST_F(ListenerTest, only_a_listening_unix_socket_is_adopted) {
  auto source = *make(Listener::Start::kNewGuest, source_clients_);
  auto destination = *make(Listener::Start::kIncoming, destination_clients_);
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  UniqueFd other(pair[1]);
  vmstate::Writer writer;
  writer.put<uint32_t>(0);
  writer.put_fd(pair[0]);
  std::vector<UniqueFd> fds;
  fds.emplace_back(pair[0]);
  vmstate::Reader reader(writer.bytes(), std::move(fds));
  EXPECT_FALSE(destination->adopt(reader).has_value());
  EXPECT_TRUE(destination->pending());
}

}  // namespace
}  // namespace pagurus::monitor
