// The channel against a hostile or dying peer, over a real socket pair.
#include "wire/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

namespace pagurus::wire {
namespace {

struct Pair {
  Channel ours;
  UniqueFd theirs;
};

Pair make_pair() {
  int fds[2];
  CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0, "a socket pair");
  return {*Channel::of_unix(UniqueFd(fds[0])), UniqueFd(fds[1])};
}

// A frame as the peer would send it.
std::vector<uint8_t> frame_of(MessageType type, const Refused& body) {
  auto pair = make_pair();
  pair.ours.enqueue(type, body);
  EXPECT_TRUE(pair.ours.flush());
  std::vector<uint8_t> bytes(1000);
  ssize_t size = ::read(pair.theirs.get(), bytes.data(), bytes.size());
  EXPECT_GT(size, 0);
  bytes.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  return bytes;
}

TEST(Channel, a_message_arrives_whole_however_it_is_cut) {
  auto bytes = frame_of(MessageType::kRefused, Refused{"because"});
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    auto pair = make_pair();
    ASSERT_EQ(::write(pair.theirs.get(), bytes.data(), cut), static_cast<ssize_t>(cut));
    if (cut < bytes.size()) {
      auto early = pair.ours.try_receive();
      ASSERT_TRUE(early.has_value());
      EXPECT_FALSE(early->has_value());
      ASSERT_GE(::write(pair.theirs.get(), bytes.data() + cut, bytes.size() - cut), 0);
    }
    auto message = pair.ours.try_receive();
    ASSERT_TRUE(message.has_value() && message->has_value()) << cut;
    EXPECT_EQ(std::move(**message).as<Refused>()->reason, "because");
  }
}

TEST(Channel, every_flipped_byte_is_noticed) {
  auto good = frame_of(MessageType::kRefused, Refused{"because"});
  for (size_t at = 0; at < good.size(); ++at) {
    auto bytes = good;
    bytes[at] ^= 0x40;
    auto pair = make_pair();
    ASSERT_GT(::write(pair.theirs.get(), bytes.data(), bytes.size()), 0);
    ::shutdown(pair.theirs.get(), SHUT_WR);
    auto message = pair.ours.try_receive();
    // The type is checked by the receiver's state machine and the reserved word by nobody.
    bool harmless = (at >= 6 && at < 8) || at >= 20;
    if (message.has_value() && message->has_value()) {
      EXPECT_TRUE(harmless && at < 24) << "byte " << at;
    }
  }
}

TEST(Channel, descriptors_arrive_with_their_message_even_many) {
  auto pair = make_pair();
  auto event = *make_eventfd();
  State state;
  for (int i = 0; i < 10; ++i) {
    SectionData section{.name = "s", .version = 1, .bytes = {1, 2, 3}, .fds = {}};
    for (int j = 0; j < 60; ++j) section.fds.push_back(vmstate::Fd::lend(event.get()));
    state.sections.push_back(std::move(section));
  }
  auto receiver = *Channel::of_unix(std::move(pair.theirs));
  pair.ours.enqueue(MessageType::kState, state);
  std::optional<Message> message;
  while (!message) {
    ASSERT_TRUE(pair.ours.flush());
    auto received = receiver.try_receive();
    ASSERT_TRUE(received.has_value()) << received.error().message();
    message = std::move(*received);
  }
  EXPECT_TRUE(pair.ours.drained());
  EXPECT_EQ(message->fds.size(), 600u);
  auto loaded = std::move(*message).as<State>();
  ASSERT_TRUE(loaded.has_value());
  signal_eventfd(loaded->sections[9].fds[59].get());
  EXPECT_TRUE(drain_eventfd(event.get()));
}

TEST(Channel, what_could_not_be_sent_does_not_follow_later) {
  auto pair = make_pair();
  int number = make_eventfd()->get();  // closed again
  PrepareCopy message;
  message.ownership.push_back(vmstate::Fd::lend(number));
  pair.ours.enqueue(MessageType::kPrepareCopy, message);
  ASSERT_FALSE(pair.ours.flush());
  auto event = *make_eventfd();
  ASSERT_EQ(event.get(), number) << "now it could be sent";
  pair.ours.enqueue(MessageType::kRefused, Refused{"because"});
  EXPECT_FALSE(pair.ours.flush());
  char byte;
  EXPECT_EQ(::read(pair.theirs.get(), &byte, 1), 0);
}

// Sends bytes and the write end of a pipe, and keeps none of it; returns the read end, which tells when
// the receiver has closed its copy.
UniqueFd send_with_pipe(int socket, std::span<uint8_t> bytes) {
  int pipe_fds[2];
  CHECK(::pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) == 0, "a pipe");
  UniqueFd read_end(pipe_fds[0]);
  UniqueFd write_end(pipe_fds[1]);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec data{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  store_le<int>(CMSG_DATA(rights), write_end.get());
  EXPECT_GT(::sendmsg(socket, &message, 0), 0);
  return read_end;
}

bool all_write_ends_closed(const UniqueFd& read_end) {
  char byte;
  return ::read(read_end.get(), &byte, 1) == 0;
}

TEST(Channel, descriptors_that_nobody_announced_are_refused_and_closed) {
  auto bytes = frame_of(MessageType::kRefused, Refused{"x"});
  auto pair = make_pair();
  auto read_end = send_with_pipe(pair.theirs.get(), bytes);
  EXPECT_FALSE(pair.ours.try_receive().has_value());
  { auto gone = std::move(pair.ours); }
  EXPECT_TRUE(all_write_ends_closed(read_end));
}

TEST(Channel, closing_gives_up_what_has_arrived_of_half_a_message) {
  auto bytes = frame_of(MessageType::kRefused, Refused{"x"});
  auto pair = make_pair();
  auto read_end = send_with_pipe(pair.theirs.get(), std::span(bytes).first(10));
  auto message = pair.ours.try_receive();
  ASSERT_TRUE(message.has_value());
  EXPECT_FALSE(message->has_value());
  EXPECT_FALSE(all_write_ends_closed(read_end));
  pair.ours.close();
  EXPECT_TRUE(all_write_ends_closed(read_end));
}

TEST(Channel, a_huge_length_is_refused_before_anything_is_allocated) {
  auto bytes = frame_of(MessageType::kRefused, Refused{"x"});
  store_le<uint32_t>(&bytes[8], 0xffffffff);
  auto pair = make_pair();
  ASSERT_GT(::write(pair.theirs.get(), bytes.data(), bytes.size()), 0);
  EXPECT_FALSE(pair.ours.try_receive().has_value());
}

TEST(Channel, another_protocol_version_is_named) {
  auto bytes = frame_of(MessageType::kRefused, Refused{"x"});
  store_le<uint16_t>(&bytes[4], 77);
  auto pair = make_pair();
  ASSERT_GT(::write(pair.theirs.get(), bytes.data(), bytes.size()), 0);
  auto message = pair.ours.try_receive();
  ASSERT_FALSE(message.has_value());
  EXPECT_EQ(message.error().message(), "the peer speaks hand-over protocol 77, this process 1");
}

TEST(Channel, what_a_peer_does_not_read_is_queued_and_follows_in_order) {
  auto pair = make_pair();
  auto receiver = *Channel::of_unix(std::move(pair.theirs));
  Refused large{std::string(60'000, 'x')};
  for (int i = 0; i < 20; ++i) pair.ours.enqueue(MessageType::kRefused, large);
  pair.ours.enqueue(MessageType::kReady, Ready{7});
  ASSERT_TRUE(pair.ours.flush());
  EXPECT_FALSE(pair.ours.drained()) << "more than a socket holds";
  for (int i = 0; i < 20; ++i) {
    std::optional<Message> message;
    while (!message) {
      ASSERT_TRUE(pair.ours.flush());
      message = std::move(*receiver.try_receive());
    }
    EXPECT_EQ(std::move(*message).as<Refused>()->reason.size(), 60'000u);
  }
  ASSERT_TRUE(pair.ours.flush());
  EXPECT_TRUE(pair.ours.drained());
  EXPECT_EQ(std::move(**receiver.try_receive()).as<Ready>()->prepared_ns, 7u);
}

TEST(Channel, a_closed_channel_is_an_error_for_both_directions) {
  auto pair = make_pair();
  pair.theirs.reset();
  EXPECT_EQ(pair.ours.try_receive().error().message(), "the peer closed the channel");
  pair.ours.enqueue(MessageType::kReady, Ready{1});
  EXPECT_FALSE(pair.ours.flush().has_value());
}

TEST(Channel, a_file_gives_back_the_messages_and_says_where_it_ends) {
  UniqueFd file(::memfd_create("stream", MFD_CLOEXEC));
  auto writer = Channel::of_file(*duplicate(file.get()));
  writer.enqueue(MessageType::kReady, Ready{1});
  writer.enqueue(MessageType::kReady, Ready{2});
  ASSERT_TRUE(writer.flush());
  EXPECT_TRUE(writer.drained());
  ASSERT_EQ(::lseek(file.get(), 0, SEEK_SET), 0);
  auto reader = Channel::of_file(std::move(file));
  EXPECT_EQ(std::move(**reader.try_receive()).as<Ready>()->prepared_ns, 1u);
  EXPECT_EQ(std::move(**reader.try_receive()).as<Ready>()->prepared_ns, 2u);
  EXPECT_EQ(reader.try_receive().error().message(), "the file ends in the middle of the stream");
}

}  // namespace
}  // namespace pagurus::wire
