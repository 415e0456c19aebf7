// vhost-user against a small peer of our own: what it is told and when, what it is not told, and lies.
#include "net/vhost_user/vhost_user.h"
#include "net/testing/no_observer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "base/socket.h"
#include "net/testing/backend_conformance.h"
#include "net/testing/vhost_user_peer.h"

namespace pagurus::net {
namespace {

using testing::requests_of;
using testing::VhostUserPeer;
using vhost_user::bytes_of;
using vhost_user::Patience;
using vhost_user::Peer;
using vhost_user::Request;
using vhost_user::SocketConfig;

constexpr uint64_t kDriverFeatures = uint64_t{1} << 32 | 1U << 15 | 1U << 5;  // VERSION_1, MRG_RXBUF, MAC

struct Observer final : testing::NoObserver {
  void vhost_user_connected(const std::string&, const std::string& chardev) override { events.push_back(chardev); }
  void vhost_user_disconnected(const std::string&) override { events.emplace_back("gone"); }
  std::vector<std::string> events;
};

struct Ends {
  UniqueFd ours;
  UniqueFd theirs;
};

Ends socket_pair() {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

class VhostUserTest : public ::testing::Test {
 protected:
  VhostUserTest() { EXPECT_TRUE(memory_.allocate()); }

  std::unique_ptr<VhostUser> make(unsigned pairs = 1) {
    return std::make_unique<VhostUser>(config(pairs),
                                       NetdevParts{fds_, *loop_, observer_, {}, Patience::kUntilConnected});
  }
  static VhostUserConfig config(unsigned pairs) {
    return {.id = "n0",
            .socket = {.chardev = "c0", .role = SocketConfig::Role::kConnected, .path = {}, .fd = "c"},
            .queue_pairs = pairs};
  }

  std::unique_ptr<VhostUser> opened(unsigned pairs = 1, VhostUserPeer::Abilities abilities = {}) {
    Ends ends = socket_pair();
    fds_.add("c", std::move(ends.ours));
    peer_.emplace(std::move(ends.theirs), abilities, nullptr);
    auto user = make(pairs);
    auto open = user->open();
    EXPECT_TRUE(open) << open.error().message();
    EXPECT_TRUE(user->ram_ready(memory_));
    user->thaw();
    return user;
  }

  // The rings of queue pairs, one page each.
  std::vector<Ring> rings(unsigned pairs, uint16_t avail = 0) {
    std::vector<Ring> rings;
    for (unsigned queue = 0; queue < 2 * pairs; ++queue) {
      uint64_t at = 0x100000 + queue * 0x10000;
      while (kicks_.size() <= queue) {
        kicks_.push_back(*make_eventfd());
        calls_.push_back(*make_eventfd());
      }
      rings.push_back({.queue = queue,
                       .size = 256,
                       .descriptors = {at},
                       .driver = {at + 0x1000},
                       .device = {at + 0x2000},
                       .position = {.avail = avail, .used = avail},
                       .kick_fd = kicks_[queue].get(),
                       .call_fd = calls_[queue].get(),
                       .error_fd = error_.get()});
    }
    return rings;
  }

  std::unique_ptr<VhostUser> serving(unsigned pairs = 1, VhostUserPeer::Abilities abilities = {}) {
    auto user = opened(pairs, abilities);
    EXPECT_TRUE(user->set_active_pairs(1));
    EXPECT_TRUE(user->ring_server()->start(rings(pairs), kDriverFeatures, RingOrigin::kDriver));
    EXPECT_TRUE(user->ring_server()->resume());
    return user;
  }

  // What goes over, as another process receives it.
  static vmstate::Reader arrive(const vmstate::Writer& writer, std::vector<uint8_t>& bytes) {
    bytes = writer.bytes();
    std::vector<UniqueFd> fds;
    for (int fd : writer.fds()) fds.push_back(*duplicate(fd));
    return {bytes, std::move(fds)};
  }
  // From one that is frozen.
  static Result<void> pass(const VhostUser& source, VhostUser& destination) {
    vmstate::Writer writer;
    TRY(source.save(writer));
    std::vector<uint8_t> bytes;
    auto reader = arrive(writer, bytes);
    return destination.adopt(reader);
  }

  void turn_until(const std::function<bool()>& done) {
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!done() && std::chrono::steady_clock::now() < end) EXPECT_TRUE(loop_->turn(10'000));
    EXPECT_TRUE(done());
  }

  void expect_broken_ring() {
    bool told = false;
    turn_until([&] { return told = told || drain_eventfd(error_.get()); });
  }

  std::unique_ptr<event::Loop> loop_ = *event::Loop::create();
  NamedFds fds_;
  Observer observer_;
  memory::GuestMemory memory_ = *memory::GuestMemory::create(64 * memory::kMiB, memory::Pages::kSmall);
  std::vector<UniqueFd> kicks_, calls_;
  UniqueFd error_ = *make_eventfd();
  std::optional<VhostUserPeer> peer_;
};

template <class T>
T payload_of(const VhostUserPeer::Message& message) {
  T value{};
  EXPECT_EQ(message.payload.size(), sizeof value);
  std::memcpy(&value, message.payload.data(), std::min(message.payload.size(), sizeof value));
  return value;
}

TEST_F(VhostUserTest, greets_its_peer_and_gives_it_the_guest_s_ram) {
  auto user = opened(2);
  auto messages = peer_->take();
  EXPECT_EQ(requests_of(messages),
            (std::vector{Request::kGetFeatures, Request::kGetProtocolFeatures, Request::kSetProtocolFeatures,
                         Request::kGetQueueNum, Request::kSetOwner, Request::kSetMemTable}));
  ASSERT_EQ(messages.back().fds.size(), 1u) << "RAM is one piece";
  vhost_user::MemoryRegion region{};
  ASSERT_EQ(messages.back().payload.size(), 8 + sizeof region);
  std::memcpy(&region, messages.back().payload.data() + 8, sizeof region);
  EXPECT_EQ(region.guest_address, 0u);
  EXPECT_EQ(region.size, memory_.size());
  EXPECT_NE(region.user_address, reinterpret_cast<uint64_t>(memory_.host_base())) << "no process's own";
  EXPECT_TRUE(user->offloads().csum);
  EXPECT_FALSE(user->offloads().tso4);
  EXPECT_EQ(observer_.events, std::vector<std::string>{"c0"});
}

TEST_F(VhostUserTest, tells_everything_about_the_rings_when_they_are_to_be_served) {
  auto user = opened(2);
  EXPECT_TRUE(user->set_active_pairs(1));
  peer_->take();
  ASSERT_TRUE(user->ring_server()->start(rings(2, 7), kDriverFeatures, RingOrigin::kDriver));
  EXPECT_TRUE(peer_->take().empty()) << "nothing is served before resume()";
  ASSERT_TRUE(user->ring_server()->resume());
  auto messages = peer_->take();
  ASSERT_EQ(messages.size(), 1u + 4 * 6 + 4);
  EXPECT_EQ(messages[0].request, Request::kSetFeatures);
  EXPECT_EQ(payload_of<uint64_t>(messages[0]), (uint64_t{1} << 32 | 1U << 15 | vhost_user::kProtocolFeatures))
      << "MAC is none of its business";
  EXPECT_EQ(payload_of<vhost_user::VringState>(messages[1]).num, 256u);
  EXPECT_EQ(payload_of<vhost_user::VringState>(messages[2]).num, 7u);
  auto address = payload_of<vhost_user::VringAddress>(messages[3]);
  EXPECT_EQ(address.used - address.descriptors, 0x2000u);
  EXPECT_EQ(messages[4].request, Request::kSetVringErr);
  EXPECT_EQ(messages[5].request, Request::kSetVringCall);
  EXPECT_EQ(messages[6].request, Request::kSetVringKick);
  signal_eventfd(kicks_[0].get());
  EXPECT_TRUE(drain_eventfd(messages[6].fds.at(0).get())) << "the eventfd of the driver's kicks";
  for (unsigned queue = 0; queue < 4; ++queue) {
    auto enable = payload_of<vhost_user::VringState>(messages[25 + queue]);
    EXPECT_EQ(enable.index, queue);
    EXPECT_EQ(enable.num, queue < 2 ? 1u : 0u) << "one pair is active";
  }
  EXPECT_FALSE(user->ring_server()->position(0)) << "only the peer knows";
}

TEST_F(VhostUserTest, a_pause_stops_the_rings_where_the_peer_says_and_a_resumption_begins_there) {
  auto user = serving();
  peer_->take();
  peer_->stand_at(0, 12);
  EXPECT_TRUE(memory_.write_value<uint16_t>({0x100000 + 0x2002}, 10));
  user->ring_server()->pause(PauseReason::kStop);
  EXPECT_EQ(requests_of(peer_->take()), (std::vector{Request::kGetVringBase, Request::kGetVringBase}));
  EXPECT_EQ(user->ring_server()->position(0), (RingPosition{.avail = 12, .used = 10}));
  EXPECT_TRUE(user->ring_server()->resume());
  auto messages = peer_->take();
  EXPECT_EQ(messages[0].request, Request::kSetVringNum) << "features and RAM are known";
  EXPECT_EQ(payload_of<vhost_user::VringState>(messages[1]).num, 12u);
  user->ring_server()->stop();
  EXPECT_EQ(requests_of(peer_->take()), (std::vector{Request::kGetVringBase, Request::kGetVringBase}));
}

TEST_F(VhostUserTest, a_hand_over_is_no_message_to_the_peer_and_its_eventfds_move) {
  auto source = serving(2);
  auto messages = peer_->take();
  auto first_fd = [&](Request request) {
    return std::move(std::ranges::find(messages, request, &VhostUserPeer::Message::request)->fds.at(0));
  };
  UniqueFd call = first_fd(Request::kSetVringCall), kick = first_fd(Request::kSetVringKick);
  auto destination = make(2);
  EXPECT_TRUE(destination->ram_ready(memory_));
  std::vector<uint8_t> bytes, early_bytes;
  vmstate::Writer early;
  source->save_early(early);
  auto early_reader = arrive(early, early_bytes);
  ASSERT_TRUE(destination->adopt_early(early_reader));
  auto set_up = rings(2);
  ASSERT_TRUE(destination->ring_server()->start(set_up, kDriverFeatures, RingOrigin::kRestored)) << "the rehearsal";
  UniqueFd moved_kick = destination->ring_server()->take_kick(0);
  UniqueFd moved_call = destination->ring_server()->take_call(0);
  ASSERT_TRUE(moved_kick && moved_call);
  source->ring_server()->pause(PauseReason::kHandover);
  source->freeze();
  vmstate::Writer writer;
  ASSERT_TRUE(source->save(writer));
  auto reader = arrive(writer, bytes);
  auto adopted = destination->adopt(reader);
  ASSERT_TRUE(adopted) << adopted.error().message();
  EXPECT_EQ(reader.unclaimed_fds(), 0u);
  EXPECT_FALSE(destination->ring_server()->take_kick(0)) << "it came early";
  EXPECT_TRUE(destination->ring_server()->take_kick(3));
  ASSERT_TRUE(destination->ring_server()->start(set_up, kDriverFeatures, RingOrigin::kRestored));
  destination->thaw();
  source->release();
  source.reset();
  ASSERT_TRUE(destination->ring_server()->resume());
  EXPECT_TRUE(destination->connected());
  EXPECT_FALSE(destination->ring_server()->position(0));
  signal_eventfd(moved_kick.get());
  EXPECT_TRUE(drain_eventfd(kick.get()));
  signal_eventfd(call.get());
  EXPECT_TRUE(drain_eventfd(moved_call.get()));
  EXPECT_TRUE(peer_->take().empty());
  // It is in step with the peer: everything goes on as ever.
  destination->ring_server()->stop();
  EXPECT_EQ(peer_->take().size(), 4u);
  EXPECT_EQ(observer_.events, std::vector<std::string>{"c0"});
}

TEST_F(VhostUserTest, offloads_stand_while_a_driver_is_there_in_the_next_process_too) {
  constexpr uint64_t kFeatures = kDriverFeatures | 1U << 1;  // GUEST_CSUM
  auto source = opened();
  ASSERT_TRUE(source->set_offloads({.csum = true}));
  ASSERT_TRUE(source->ring_server()->start(rings(1), kFeatures, RingOrigin::kDriver));
  ASSERT_TRUE(source->ring_server()->resume());
  EXPECT_FALSE(source->set_offloads({}));
  source->ring_server()->pause(PauseReason::kHandover);
  source->freeze();
  auto destination = make();
  EXPECT_TRUE(destination->ram_ready(memory_));
  ASSERT_TRUE(pass(*source, *destination));
  ASSERT_TRUE(destination->ring_server()->start(rings(1), kFeatures, RingOrigin::kRestored));
  destination->thaw();
  source->release();
  EXPECT_TRUE(destination->set_offloads({.csum = true}));
  EXPECT_FALSE(destination->set_offloads({})) << "the peer is not told, so the driver is";
  peer_->hang_up();
  turn_until([&] { return !destination->connected(); });
  EXPECT_FALSE(destination->set_offloads({})) << "the next peer is told what the driver has accepted";
  destination->ring_server()->stop();
  EXPECT_TRUE(destination->set_offloads({}));
}

TEST_F(VhostUserTest, what_goes_early_is_looked_at_while_all_is_still) {
  struct : BackendListener {
    void hold_still(const std::function<void()>& change) override {
      ++held;
      change();
    }
    void connection_changed() override {}
    int held = 0;
  } listener;
  auto user = serving();
  user->set_listener(&listener);
  vmstate::Writer early;
  user->save_early(early);
  EXPECT_EQ(listener.held, 1);
  EXPECT_EQ(early.fds().size(), 4u);
  user->set_listener(nullptr);
}

TEST_F(VhostUserTest, a_roll_back_is_no_message_to_the_peer_either) {
  auto source = serving();
  peer_->take();
  for (int i = 0; i < 3; ++i) {
    auto destination = make();
    source->ring_server()->pause(PauseReason::kHandover);
    source->freeze();
    ASSERT_TRUE(pass(*source, *destination));
    ASSERT_TRUE(destination->ring_server()->start(rings(1), kDriverFeatures, RingOrigin::kRestored));
    destination.reset();
    source->thaw();
    ASSERT_TRUE(source->ring_server()->resume());
  }
  EXPECT_TRUE(peer_->take().empty());
  EXPECT_TRUE(source->connected());
}

TEST_F(VhostUserTest, a_guest_that_is_stopped_moves_with_the_positions_of_its_rings) {
  auto source = serving();
  peer_->stand_at(1, 3);
  source->ring_server()->pause(PauseReason::kStop);
  source->freeze();
  peer_->take();
  auto destination = make();
  EXPECT_TRUE(destination->ram_ready(memory_));
  ASSERT_TRUE(pass(*source, *destination));
  EXPECT_FALSE(destination->ring_server()->take_kick(0)) << "the peer does not wait for one";
  ASSERT_TRUE(destination->ring_server()->start(rings(1, 3), kDriverFeatures, RingOrigin::kRestored));
  destination->thaw();
  source->release();
  EXPECT_TRUE(peer_->take().empty());
  ASSERT_TRUE(destination->ring_server()->resume());
  EXPECT_EQ(payload_of<vhost_user::VringState>(peer_->take()[1]).num, 3u);
}

TEST_F(VhostUserTest, takes_eventfds_for_signals_only) {
  vmstate::Writer writer;
  UniqueFd other = *duplicate(memory_.fd());
  VhostUserEarlyState state;
  state.signals.push_back(
      {.queue = 0, .kick = vmstate::Fd::lend(other.get()), .call = vmstate::Fd::lend(error_.get())});
  vmstate::write_state(writer, state);
  std::vector<uint8_t> bytes;
  auto reader = arrive(writer, bytes);
  auto adopted = make()->adopt_early(reader);
  ASSERT_FALSE(adopted);
  EXPECT_NE(adopted.error().message().find("is not a non-blocking eventfd"), std::string::npos);
}

TEST_F(VhostUserTest, refuses_a_state_whose_rings_are_not_the_driver_s) {
  auto source = serving();
  source->ring_server()->pause(PauseReason::kHandover);
  source->freeze();
  auto destination = make();
  ASSERT_TRUE(pass(*source, *destination));
  auto other = rings(1);
  other[1].size = 128;
  auto started = destination->ring_server()->start(other, kDriverFeatures, RingOrigin::kRestored);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message(),
            "netdev 'n0': its peer serves another ring of queue 1 than the driver has set up");
}

TEST_F(VhostUserTest, changes_the_pairs_that_the_peer_serves) {
  auto user = serving(2);
  peer_->take();
  EXPECT_TRUE(user->set_active_pairs(2));
  auto messages = peer_->take();
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(payload_of<vhost_user::VringState>(messages[3]).num, 1u);
}

TEST_F(VhostUserTest, a_peer_that_hangs_up_is_noticed_and_the_guest_lives_on) {
  auto user = serving();
  EXPECT_TRUE(user->movable());
  EXPECT_TRUE(memory_.write_value<uint16_t>({0x100000 + 0x2002}, 5));
  peer_->hang_up();
  turn_until([&] { return !user->connected(); });
  EXPECT_EQ(observer_.events, (std::vector<std::string>{"c0", "gone"}));
  EXPECT_EQ(user->movable().error().message(),
            "nobody is connected to its chardev 'c0' (try again when its peer is there)");
  user->ring_server()->pause(PauseReason::kStop);
  EXPECT_EQ(user->ring_server()->position(0), (RingPosition{.avail = 5, .used = 5})) << "what is told in RAM";
  EXPECT_TRUE(user->ring_server()->resume());
  user->ring_server()->stop();
}

// Peers that connect, one after the other.
class VhostUserServerTest : public VhostUserTest {
 protected:
  std::unique_ptr<VhostUser> make_server() {
    VhostUserConfig config{.id = "n0",
                           .socket = {.chardev = "c0", .role = SocketConfig::Role::kServer, .path = path_, .fd = {}}};
    return std::make_unique<VhostUser>(config, NetdevParts{fds_, *loop_, observer_, {}, Patience::kUntilConnected});
  }
  std::unique_ptr<VhostUser> serving_server(VhostUserPeer::Abilities abilities = {}) {
    auto user = make_server();
    std::thread first([&] { connect(abilities); });
    auto opened = user->open();
    first.join();
    EXPECT_TRUE(opened) << opened.error().message();
    EXPECT_TRUE(user->ram_ready(memory_));
    user->thaw();
    EXPECT_TRUE(user->ring_server()->start(rings(1), kDriverFeatures, RingOrigin::kDriver));
    EXPECT_TRUE(user->ring_server()->resume());
    return user;
  }
  void connect(VhostUserPeer::Abilities abilities = {}) {
    for (;;) {
      auto connection = connect_unix(path_);
      if (connection && connection->error == 0) {
        ::fcntl(connection->socket.get(), F_SETFL, 0);
        peer_.emplace(std::move(connection->socket), abilities, nullptr);
        return;
      }
      std::this_thread::yield();
    }
  }
  // The peer dies, and another one comes while the rings are not served.
  void replace_peer(VhostUser& user, VhostUserPeer::Abilities abilities = {}) {
    peer_.reset();
    turn_until([&] { return !user.connected(); });
    user.ring_server()->pause(PauseReason::kStop);
    connect(abilities);
    turn_until([&] { return user.connected(); });
    peer_->take();
  }

  std::string path_ = ::testing::TempDir() + "vhost-user-" + std::to_string(::getpid());
};

TEST_F(VhostUserServerTest, a_peer_that_comes_back_goes_on_where_the_rings_stand) {
  auto user = serving_server();
  EXPECT_TRUE(memory_.write_value<uint16_t>({0x100000 + 0x2002}, 5));
  replace_peer(*user);
  ASSERT_TRUE(user->ring_server()->resume());
  auto messages = peer_->take();
  EXPECT_EQ(requests_of(messages)[0], Request::kSetFeatures);
  EXPECT_EQ(requests_of(messages)[1], Request::kSetMemTable);
  EXPECT_EQ(payload_of<vhost_user::VringState>(messages[3]).num, 5u);
  EXPECT_EQ(observer_.events, (std::vector<std::string>{"c0", "gone", "c0"}));
}

// --- What a peer had in hand ------------------------------------------------------------------

constexpr VhostUserPeer::Abilities kNotesInflight{.protocol = vhost_user::kProtocolMq | vhost_user::kProtocolReplyAck |
                                                              vhost_user::kProtocolInflight};

const VhostUserPeer::Message* find(const std::vector<VhostUserPeer::Message>& messages, Request request) {
  auto found = std::ranges::find(messages, request, &VhostUserPeer::Message::request);
  return found == messages.end() ? nullptr : &*found;
}

// The file of the region that the peer was given; 0: none.
ino_t region_given(const std::vector<VhostUserPeer::Message>& messages) {
  const auto* given = find(messages, Request::kSetInflightFd);
  if (given == nullptr) return 0;
  struct stat status {};
  EXPECT_EQ(given->fds.size(), 1u);
  EXPECT_EQ(::fstat(given->fds.at(0).get(), &status), 0);
  auto described = payload_of<vhost_user::Inflight>(*given);
  EXPECT_EQ(described.size, 4096u);
  EXPECT_EQ(described.offset, 4096u);
  EXPECT_EQ(described.queues, 2u);
  EXPECT_EQ(described.queue_size, 256u);
  return status.st_ino;
}

TEST_F(VhostUserServerTest, a_peer_after_a_hand_over_and_a_crash_is_given_what_the_first_one_noted) {
  auto source = serving_server(kNotesInflight);
  auto messages = peer_->take();
  EXPECT_TRUE(find(messages, Request::kGetInflightFd));
  ino_t region = region_given(messages);
  ASSERT_NE(region, 0u);
  source->ring_server()->pause(PauseReason::kHandover);
  source->freeze();
  auto destination = make_server();
  EXPECT_TRUE(destination->ram_ready(memory_));
  auto adopted = pass(*source, *destination);
  ASSERT_TRUE(adopted) << adopted.error().message();
  ASSERT_TRUE(destination->ring_server()->start(rings(1), kDriverFeatures, RingOrigin::kRestored));
  source->release();
  source.reset();
  destination->thaw();
  ASSERT_TRUE(destination->ring_server()->resume());
  EXPECT_TRUE(peer_->take().empty());
  replace_peer(*destination, kNotesInflight);
  ASSERT_TRUE(destination->ring_server()->resume());
  messages = peer_->take();
  EXPECT_FALSE(find(messages, Request::kGetInflightFd));
  EXPECT_EQ(region_given(messages), region);
  EXPECT_EQ(requests_of(messages)[2], Request::kSetInflightFd) << "before the rings";
}

TEST_F(VhostUserServerTest, a_peer_that_notes_nothing_ends_the_notes) {
  auto user = serving_server(kNotesInflight);
  ino_t region = region_given(peer_->take());
  replace_peer(*user);
  ASSERT_TRUE(user->ring_server()->resume());
  EXPECT_EQ(region_given(peer_->take()), 0u);
  replace_peer(*user, kNotesInflight);
  ASSERT_TRUE(user->ring_server()->resume());
  auto messages = peer_->take();
  EXPECT_TRUE(find(messages, Request::kGetInflightFd));
  EXPECT_NE(region_given(messages), region);
}

TEST_F(VhostUserTest, a_driver_that_begins_anew_has_nothing_in_hand) {
  auto user = serving(1, kNotesInflight);
  peer_->take();
  user->ring_server()->pause(PauseReason::kStop);
  ASSERT_TRUE(user->ring_server()->resume());
  EXPECT_EQ(region_given(peer_->take()), 0u) << "it is known";
  user->ring_server()->stop();
  ASSERT_TRUE(user->ring_server()->start(rings(1), kDriverFeatures, RingOrigin::kDriver));
  ASSERT_TRUE(user->ring_server()->resume());
  auto messages = peer_->take();
  EXPECT_TRUE(find(messages, Request::kGetInflightFd));
  EXPECT_NE(region_given(messages), 0u);
}

// --- Broken rings -----------------------------------------------------------------------------

TEST_F(VhostUserTest, a_driver_begins_anew_whose_packed_rings_are_lost_with_their_peer) {
  constexpr uint64_t kRingPacked = uint64_t{1} << 34;
  auto user = opened();
  ASSERT_TRUE(user->ring_server()->start(rings(1), kDriverFeatures | kRingPacked, RingOrigin::kDriver));
  ASSERT_TRUE(user->ring_server()->resume());
  peer_->hang_up();
  turn_until([&] { return !user->connected(); });
  expect_broken_ring();
}

TEST_F(VhostUserTest, a_broken_ring_is_told_to_whoever_holds_the_guest) {
  auto source = serving();
  auto messages = peer_->take();
  UniqueFd error = *duplicate(find(messages, Request::kSetVringErr)->fds.at(0).get());
  signal_eventfd(error.get());
  expect_broken_ring();
  source->ring_server()->pause(PauseReason::kHandover);
  source->freeze();
  // While nobody looks.
  signal_eventfd(error.get());
  auto destination = make();
  EXPECT_TRUE(destination->ram_ready(memory_));
  ASSERT_TRUE(pass(*source, *destination));
  ASSERT_TRUE(destination->ring_server()->start(rings(1), kDriverFeatures, RingOrigin::kRestored));
  source->release();
  destination->thaw();
  ASSERT_TRUE(destination->ring_server()->resume());
  expect_broken_ring();
  EXPECT_TRUE(peer_->take().empty());
}

// --- Lies -------------------------------------------------------------------------------------

struct Lie {
  const char* name;
  Request request;
  vhost_user::Bytes answer;  // empty: hangs up
  const char* sentence;
};

class VhostUserLies : public ::testing::TestWithParam<Lie> {};

TEST_P(VhostUserLies, are_refused_with_a_sentence) {
  const Lie& lie = GetParam();
  Ends ends = socket_pair();
  VhostUserPeer peer(std::move(ends.theirs), {.queue_pairs = 2}, [&](Request request) {
    return request == lie.request ? std::optional(lie.answer) : std::nullopt;
  });
  auto greeted = Peer::greet(std::move(ends.ours), 2, std::chrono::milliseconds(300));
  ASSERT_FALSE(greeted);
  EXPECT_EQ(greeted.error().message(), lie.sentence);
}

vhost_user::Bytes answer_with(uint32_t request, uint32_t flags, uint32_t size, const vhost_user::Bytes& payload) {
  auto bytes = bytes_of(vhost_user::Header{.request = request, .flags = flags, .size = size});
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

INSTANTIATE_TEST_SUITE_P(
    All, VhostUserLies,
    ::testing::Values(Lie{"hangs_up", Request::kGetFeatures, {}, "GET_FEATURES: the peer has hung up"},
                      Lie{"another_request", Request::kGetFeatures, answer_with(15, 5, 8, bytes_of(uint64_t{1})),
                          "GET_FEATURES: the answer is one to request 15"},
                      Lie{"no_reply", Request::kGetFeatures, answer_with(1, 1, 8, bytes_of(uint64_t{1})),
                          "GET_FEATURES: the answer has the flags 0x1"},
                      Lie{"another_version", Request::kGetFeatures, answer_with(1, 6, 8, bytes_of(uint64_t{1})),
                          "GET_FEATURES: the answer has the flags 0x6"},
                      Lie{"too_large", Request::kGetFeatures, answer_with(1, 5, 0xffffffff, bytes_of(uint64_t{1})),
                          "GET_FEATURES: the answer has 4294967295 bytes where 8 are right"},
                      Lie{"too_small", Request::kGetFeatures, answer_with(1, 5, 4, bytes_of(uint32_t{1})),
                          "GET_FEATURES: the answer has 4 bytes where 8 are right"},
                      Lie{"cut_off", Request::kGetFeatures, answer_with(1, 5, 8, {1, 2}),
                          "GET_FEATURES: the peer has not answered within 300 ms"},
                      Lie{"legacy", Request::kGetFeatures, answer_with(1, 5, 8, bytes_of(uint64_t{1} << 30)),
                          "the peer does not serve modern devices (VIRTIO_F_VERSION_1)"},
                      Lie{"refusal", Request::kSetOwner, answer_with(3, 5, 8, bytes_of(uint64_t{7})),
                          "SET_OWNER: the peer refuses it (7)"},
                      Lie{"too_few_queues", Request::kGetQueueNum, answer_with(17, 5, 8, bytes_of(uint64_t{1})),
                          "the peer serves 1 queue pairs at most, where queues=2"}),
    [](const auto& lie) { return std::string(lie.param.name); });

struct InflightLie {
  const char* name;
  std::optional<vhost_user::Inflight> answer;
  unsigned descriptors;
  const char* sentence;  // empty: it is none
};

class VhostUserInflightLies : public ::testing::TestWithParam<InflightLie> {};

TEST_P(VhostUserInflightLies, are_refused_with_a_sentence) {
  const InflightLie& lie = GetParam();
  Ends ends = socket_pair();
  auto abilities = kNotesInflight;
  abilities.inflight_fds = lie.descriptors;
  VhostUserPeer peer(std::move(ends.theirs), abilities, [&](Request request) -> std::optional<vhost_user::Bytes> {
    if (request != Request::kGetInflightFd || !lie.answer) return std::nullopt;
    return VhostUserPeer::answer(request, bytes_of(*lie.answer));
  });
  auto greeted = Peer::greet(std::move(ends.ours), 1);
  ASSERT_TRUE(greeted);
  std::optional<vhost_user::InflightRegion> region;
  auto set = (*greeted)->set_inflight(region, 2, 256);
  EXPECT_EQ(set ? "" : set.error().message(), lie.sentence);
  EXPECT_FALSE(region);
}

INSTANTIATE_TEST_SUITE_P(
    All, VhostUserInflightLies,
    ::testing::Values(
        InflightLie{"none", vhost_user::Inflight{}, 0, ""},
        InflightLie{"no_descriptor", {}, 0, "GET_INFLIGHT_FD: the answer has no file descriptor"},
        InflightLie{
            "two_descriptors", {}, 2, "GET_INFLIGHT_FD: the answer has 2 file descriptors where at most 1 are right"},
        InflightLie{"empty", vhost_user::Inflight{0, 0, 2, 256, 0}, 1,
                    "GET_INFLIGHT_FD: the in-flight region has 0 bytes at 0 of a file of 8192"},
        InflightLie{"too_long", vhost_user::Inflight{4097, 4096, 2, 256, 0}, 1,
                    "GET_INFLIGHT_FD: the in-flight region has 4097 bytes at 4096 of a file of 8192"},
        InflightLie{"behind_the_end", vhost_user::Inflight{1, ~uint64_t{0}, 2, 256, 0}, 1,
                    "GET_INFLIGHT_FD: the in-flight region has 1 bytes at 18446744073709551615 of a file of 8192"},
        InflightLie{"other_queues", vhost_user::Inflight{4096, 0, 4, 256, 0}, 1,
                    "GET_INFLIGHT_FD: the answer is for 4 queues of 256, not 2 of 256"}),
    [](const auto& lie) { return std::string(lie.param.name); });

TEST(VhostUserPeerTest, does_not_wait_for_ever) {
  Ends ends = socket_pair();
  auto greeted = Peer::greet(std::move(ends.ours), 1, std::chrono::milliseconds(50));
  ASSERT_FALSE(greeted);
  EXPECT_EQ(greeted.error().message(), "GET_FEATURES: the peer has not answered within 50 ms");
}

TEST_F(VhostUserTest, a_position_out_of_its_ring_ends_the_connection_and_not_the_guest) {
  auto user = serving();
  peer_->stand_at(0, 1000);
  user->ring_server()->pause(PauseReason::kStop);
  EXPECT_EQ(user->ring_server()->position(0), RingPosition{});
  turn_until([&] { return !user->connected(); });
  EXPECT_EQ(observer_.events.back(), "gone");
}

// --- Options ----------------------------------------------------------------------------------

std::string refusal(const schema::NetdevVhostUserOptions& options, const schema::ChardevOptions& chardev) {
  auto config = VhostUserConfig::from("n0", options, {&chardev, 1});
  return config ? "" : config.error().message();
}

TEST(VhostUserOptions, that_cannot_work_are_refused) {
  auto socket = [](schema::ChardevSocketOptions options) { return schema::ChardevOptions{"c0", std::move(options)}; };
  schema::NetdevVhostUserOptions options{.chardev = "c0"};
  EXPECT_EQ(refusal(options, socket({.path = "p"})), "");
  EXPECT_EQ(refusal(options, socket({.path = "p", .server = true})), "");
  EXPECT_EQ(refusal({.chardev = "c1"}, socket({.path = "p"})),
            "netdev 'n0': no chardev 'c1': define it with -chardev socket,id=c1,path=...");
  EXPECT_EQ(refusal({.chardev = "c0", .queues = 17}, socket({.path = "p"})), "netdev 'n0': queues=17 is not 1 to 16");
  EXPECT_EQ(refusal(options, socket({.path = "p", .server = true, .wait = false})),
            "netdev 'n0': character device 'c0': wait=off is invalid for vhost-user: what the peer offers decides what "
            "the guest sees");
  EXPECT_EQ(
      refusal(options, socket({.path = "p", .server = true, .reconnect_ms = 5})),
      "netdev 'n0': character device 'c0': reconnect-ms is for a client that knows where to connect: invalid with "
      "server=on and fd=");
}

}  // namespace

// --- Conformance ------------------------------------------------------------------------------

namespace testing {
namespace {

class VhostUserRig final : public Rig {
 public:
  static Result<std::unique_ptr<Rig>> make_one() { return std::make_unique<VhostUserRig>(1); }
  static Result<std::unique_ptr<Rig>> make_four() { return std::make_unique<VhostUserRig>(4); }

  explicit VhostUserRig(unsigned pairs) : pairs_(pairs) {
    Ends ends = socket_pair();
    fds_.add("c", std::move(ends.ours));
    peer_.emplace(std::move(ends.theirs));
  }
  std::unique_ptr<Backend> make() override {
    VhostUserConfig config{.id = "n0",
                           .socket = {.chardev = "c0", .role = SocketConfig::Role::kConnected, .path = {}, .fd = "c"},
                           .queue_pairs = pairs_};
    return std::make_unique<VhostUser>(std::move(config),
                                       NetdevParts{fds_, *loop_, observer_, {}, Patience::kUntilConnected});
  }
  void send(const Bytes&) override {}
  std::optional<Bytes> receive() override { return std::nullopt; }
  bool has_ports() const override { return false; }
  void turn() override { EXPECT_TRUE(loop_->turn(0).has_value()); }

 private:
  unsigned pairs_;
  std::unique_ptr<event::Loop> loop_ = *event::Loop::create();
  NamedFds fds_;
  Observer observer_;
  std::optional<VhostUserPeer> peer_;
};

INSTANTIATE_TEST_SUITE_P(VhostUser, BackendConformance,
                         ::testing::Values(RigCase{"one_pair", &VhostUserRig::make_one},
                                           RigCase{"four_pairs", &VhostUserRig::make_four}),
                         rig_name);

}  // namespace
}  // namespace testing
}  // namespace pagurus::net
