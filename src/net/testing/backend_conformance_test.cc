#include "net/testing/backend_conformance.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

namespace pagurus::net::testing {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kHeader = 12;          // struct virtio_net_hdr_v1
constexpr size_t kNumberAt = 14 + 28;   // behind the headers of Ethernet, IPv4 and UDP
constexpr uint32_t kMark = 0x50616775;  // whatever else is on the wire is no frame of ours
constexpr auto kLongEnough = std::chrono::seconds(30);
constexpr auto kAMoment = std::chrono::milliseconds(20);

size_t open_descriptors() {
  size_t count = 0;
  DIR* directory = ::opendir("/proc/self/fd");
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

// A broadcast of UDP; different numbers are different flows, so that queues share them.
Bytes frame_of(uint32_t number) {
  Bytes frame(64);
  std::fill_n(frame.begin(), 6, uint8_t{0xff});
  frame[6] = 0x02;   // a local address
  frame[12] = 0x08;  // IPv4
  frame[14] = 0x45;
  frame[17] = 50;  // length
  frame[22] = 64;  // time to live
  frame[23] = 17;  // UDP
  frame[26] = frame[30] = 10;
  frame[29] = 1;
  frame[33] = 2;
  frame[34] = 0x40;
  frame[35] = static_cast<uint8_t>(number);
  frame[37] = 9;  // discard
  frame[39] = 30;
  store_le<uint32_t>(frame.data() + kNumberAt, kMark);
  store_le<uint32_t>(frame.data() + kNumberAt + 4, number);
  return frame;
}

std::optional<uint32_t> number_of(std::span<const uint8_t> frame) {
  if (frame.size() < kNumberAt + 8 || load_le<uint32_t>(frame.data() + kNumberAt) != kMark) return std::nullopt;
  return load_le<uint32_t>(frame.data() + kNumberAt + 4);
}

bool has_optional_fields(const vmstate::Description& description) {
  return std::ranges::any_of(description.fields, [](const auto& field) { return field.limits.optional; });
}

UniqueFd wrong_descriptor(int kind) {
  switch (kind) {
    case 0: return UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
    case 1: return UniqueFd(::memfd_create("wrong", MFD_CLOEXEC));
    case 2: return UniqueFd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));  // attached to nothing
    default: return UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
  }
}
constexpr int kWrongKinds = 4;

std::vector<UniqueFd> duplicates(const std::vector<int>& fds) {
  std::vector<UniqueFd> copies;
  for (int fd : fds) copies.push_back(*duplicate(fd));
  return copies;
}

}  // namespace

vmstate::Reader Saved::arrive() const { return {bytes, duplicates(fds)}; }

void BackendConformance::SetUp() {
  descriptors_before_ = open_descriptors();
  auto rig = GetParam().make();
  if (!rig) GTEST_SKIP() << rig.error().message();
  rig_ = std::move(*rig);
}

void BackendConformance::TearDown() {
  if (!rig_) return;
  rig_.reset();
  EXPECT_EQ(open_descriptors(), descriptors_before_) << "a descriptor was left open, or closed twice";
}

std::unique_ptr<Backend> BackendConformance::pending() {
  auto backend = rig_->make();
  backend->set_listener(&listener_);
  EXPECT_TRUE(backend->pending());
  return backend;
}

std::unique_ptr<Backend> BackendConformance::in_use() {
  auto backend = pending();
  auto opened = backend->open();
  EXPECT_TRUE(opened) << opened.error().message();
  EXPECT_FALSE(backend->pending());
  backend->thaw();
  connect(*backend);
  EXPECT_TRUE(backend->set_active_pairs(backend->queue_pairs()));
  return backend;
}

void BackendConformance::connect(Backend& backend) {
  auto end = Clock::now() + kLongEnough;
  while (!backend.connected() && Clock::now() < end) {
    rig_->turn();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(backend.connected());
}

void BackendConformance::move_early(Backend& from, Backend& to) {
  if (from.early() == nullptr) return;
  vmstate::Writer writer;
  from.save_early(writer);
  vmstate::Reader reader(writer.bytes(), duplicates(writer.fds()));
  auto adopted = to.adopt_early(reader);
  EXPECT_TRUE(adopted) << adopted.error().message();
}

Saved BackendConformance::freeze_and_save(Backend& from) {
  from.freeze();
  vmstate::Writer writer;
  auto saved = from.save(writer);
  EXPECT_TRUE(saved) << saved.error().message();
  return {writer.bytes(), writer.fds()};
}

std::unique_ptr<Backend> BackendConformance::move(Backend& from) {
  auto to = pending();
  move_early(from, *to);
  Saved saved = freeze_and_save(from);
  auto reader = saved.arrive();
  auto adopted = to->adopt(reader);
  EXPECT_TRUE(adopted) << adopted.error().message();
  EXPECT_EQ(reader.unclaimed_fds(), 0u);
  to->thaw();
  from.release();
  return to;
}

unsigned BackendConformance::active_ports(Backend& backend) {
  unsigned active = 0;
  for (unsigned pair = 0; pair < backend.queue_pairs(); ++pair) active += backend.port(pair).fd() >= 0 ? 1 : 0;
  return active;
}

void BackendConformance::send(int count) {
  if (!rig_->has_ports()) return;
  for (int i = 0; i < count; ++i) {
    sent_.push_back(next_);
    rig_->send(frame_of(next_++));
  }
}

void BackendConformance::transmit(Backend& backend, int count) {
  if (!rig_->has_ports()) return;
  size_t header = backend.vnet_header() ? kHeader : 0;
  for (unsigned pair = 0; pair < active_ports(backend); ++pair) {
    for (int i = 0; i < count; ++i) {
      Bytes frame(header, 0);
      Bytes ethernet = frame_of(next_);
      frame.insert(frame.end(), ethernet.begin(), ethernet.end());
      transmitted_.push_back(next_++);
      iovec part{frame.data(), frame.size()};
      IoResult result = backend.port(pair).transmit({&part, 1});
      EXPECT_EQ(result.status, IoStatus::kOk);
      EXPECT_EQ(result.bytes, frame.size());
    }
  }
}

void BackendConformance::collect(Backend& backend) {
  size_t header = backend.vnet_header() ? kHeader : 0;
  for (unsigned pair = 0; pair < backend.queue_pairs(); ++pair) {
    if (backend.port(pair).fd() < 0) continue;
    for (;;) {
      Bytes frame(2048);
      iovec part{frame.data(), frame.size()};
      IoResult result = backend.port(pair).receive({&part, 1});
      if (result.status != IoStatus::kOk) break;
      if (result.bytes < header) continue;
      if (auto number = number_of({frame.data() + header, result.bytes - header})) received_.push_back(*number);
    }
  }
}

void BackendConformance::expect_all_received(Backend& backend) {
  if (!rig_->has_ports()) return;
  auto end = Clock::now() + kLongEnough;
  do {
    rig_->turn();
    collect(backend);
  } while (received_.size() < sent_.size() && Clock::now() < end);
  // One more than there should be would come soon.
  std::this_thread::sleep_for(kAMoment);
  rig_->turn();
  collect(backend);
  std::ranges::sort(received_);
  EXPECT_EQ(received_, sent_);
}

void BackendConformance::expect_all_transmitted() {
  if (!rig_->has_ports()) return;
  auto take = [this] {
    rig_->turn();
    while (auto frame = rig_->receive()) {
      if (auto number = number_of(*frame)) arrived_.push_back(*number);
    }
  };
  auto end = Clock::now() + kLongEnough;
  do take();
  while (arrived_.size() < transmitted_.size() && Clock::now() < end);
  std::this_thread::sleep_for(kAMoment);
  take();
  std::ranges::sort(arrived_);
  EXPECT_EQ(arrived_, transmitted_);
}

void BackendConformance::expect_works(Backend& backend) {
  send(8);
  transmit(backend, 3);
  expect_all_received(backend);
  expect_all_transmitted();
}

TEST_P(BackendConformance, one_that_is_opened_carries_frames) {
  auto backend = in_use();
  expect_works(*backend);
  EXPECT_FALSE(backend->id().empty());
  EXPECT_FALSE(backend->kind().empty());
  EXPECT_GE(backend->queue_pairs(), 1u);
  EXPECT_LE(backend->queue_pairs(), kMaxQueuePairs);
}

TEST_P(BackendConformance, one_that_nobody_opens_or_adopts_leaves_nothing) {
  auto backend = pending();
  ASSERT_GE(backend->queue_pairs(), 1u);
  if (rig_->has_ports()) {
    EXPECT_EQ(active_ports(*backend), 0u) << "nothing to watch while pending";
  }
}

TEST_P(BackendConformance, what_a_destination_will_adopt_is_known_while_it_is_pending) {
  auto source = in_use();
  auto destination = pending();
  auto here = source->movable(), there = destination->movable();
  ASSERT_TRUE(here) << here.error().message();
  ASSERT_TRUE(there) << there.error().message();
  EXPECT_EQ(vmstate::signature(**here), vmstate::signature(**there));
  ASSERT_EQ(source->early() == nullptr, destination->early() == nullptr);
}

TEST_P(BackendConformance, moves_and_moves_back_with_no_frame_lost_or_doubled) {
  auto backend = in_use();
  expect_works(*backend);
  for (int i = 0; i < 4; ++i) {
    send(8);
    transmit(*backend, 2);
    auto to = pending();
    move_early(*backend, *to);
    Saved saved = freeze_and_save(*backend);
    send(8);
    auto reader = saved.arrive();
    auto adopted = to->adopt(reader);
    ASSERT_TRUE(adopted) << adopted.error().message();
    EXPECT_EQ(reader.unclaimed_fds(), 0u);
    EXPECT_FALSE(to->pending());
    EXPECT_EQ(to->vnet_header(), backend->vnet_header());
    EXPECT_EQ(to->offloads(), backend->offloads());
    EXPECT_EQ(to->connected(), backend->connected());
    EXPECT_EQ(active_ports(*to), active_ports(*backend));
    send(8);
    to->thaw();
    backend->release();
    if (i % 2 == 0) backend.reset();  // else it ends when the next is in use
    expect_works(*to);
    backend = std::move(to);
  }
}

TEST_P(BackendConformance, moves_without_its_early_state_too) {
  auto backend = in_use();
  send(4);
  Saved saved = freeze_and_save(*backend);
  auto to = pending();
  auto reader = saved.arrive();
  auto adopted = to->adopt(reader);
  ASSERT_TRUE(adopted) << adopted.error().message();
  to->thaw();
  backend->release();
  backend.reset();
  expect_works(*to);
}

TEST_P(BackendConformance, what_was_adopted_saves_what_was_saved) {
  auto backend = in_use();
  expect_works(*backend);
  Saved first = freeze_and_save(*backend);
  Saved again = freeze_and_save(*backend);
  EXPECT_EQ(first.bytes, again.bytes);
  EXPECT_EQ(first.fds, again.fds);
  auto to = pending();
  auto reader = first.arrive();
  ASSERT_TRUE(to->adopt(reader));
  to->thaw();
  backend->release();
  Saved onward = freeze_and_save(*to);
  EXPECT_EQ(onward.bytes, first.bytes);
  EXPECT_EQ(onward.fds.size(), first.fds.size());
}

TEST_P(BackendConformance, rolls_back_before_and_after_save) {
  auto backend = in_use();
  backend->freeze();
  send(8);
  backend->thaw();
  expect_works(*backend);
  freeze_and_save(*backend);
  send(8);
  backend->thaw();
  expect_works(*backend);
}

TEST_P(BackendConformance, rolls_back_after_another_process_has_adopted_it) {
  auto backend = in_use();
  for (int i = 0; i < 3; ++i) {
    auto to = pending();
    move_early(*backend, *to);
    send(8);
    transmit(*backend, 2);
    Saved saved = freeze_and_save(*backend);
    auto reader = saved.arrive();
    ASSERT_TRUE(to->adopt(reader));
    send(8);
    to.reset();
    backend->thaw();
    expect_works(*backend);
  }
  auto to = move(*backend);
  expect_works(*to);
}

TEST_P(BackendConformance, an_early_state_that_came_to_nothing_harms_nobody) {
  auto backend = in_use();
  if (backend->early() == nullptr) GTEST_SKIP() << "this back end has no early state";
  for (int i = 0; i < 3; ++i) {
    auto to = pending();
    move_early(*backend, *to);
    to.reset();
    expect_works(*backend);
  }
  // More than once, as rehearsals may be.
  auto to = pending();
  move_early(*backend, *to);
  move_early(*backend, *to);
  Saved saved = freeze_and_save(*backend);
  auto reader = saved.arrive();
  ASSERT_TRUE(to->adopt(reader));
  to->thaw();
  backend->release();
  expect_works(*to);
}

TEST_P(BackendConformance, refuses_an_early_state_cut_anywhere) {
  auto backend = in_use();
  if (backend->early() == nullptr) GTEST_SKIP() << "this back end has no early state";
  vmstate::Writer writer;
  backend->save_early(writer);
  for (size_t size = 0; size < writer.bytes().size(); ++size) {
    auto to = pending();
    vmstate::Reader reader(std::span(writer.bytes()).first(size), duplicates(writer.fds()));
    (void)to->adopt_early(reader);
    EXPECT_TRUE(to->pending());
  }
  expect_works(*backend);
}

TEST_P(BackendConformance, refuses_a_state_cut_anywhere_or_too_long) {
  auto backend = in_use();
  Saved saved = freeze_and_save(*backend);
  bool exact = !has_optional_fields(**backend->movable());
  auto to = pending();
  for (size_t size = 0; size < saved.bytes.size(); ++size) {
    vmstate::Reader reader(std::span(saved.bytes).first(size), duplicates(saved.fds));
    auto adopted = to->adopt(reader);
    // Where optional fields begin, a cut is a whole state without them.
    ASSERT_FALSE(adopted && exact) << "cut to " << size << " of " << saved.bytes.size() << " bytes";
    EXPECT_EQ(to->pending(), !adopted);
    if (adopted) to = pending();
  }
  Bytes longer = saved.bytes;
  longer.push_back(0);
  vmstate::Reader reader(longer, duplicates(saved.fds));
  EXPECT_FALSE(to->adopt(reader));
  EXPECT_TRUE(to->pending());
  backend->thaw();
  expect_works(*backend);
}

TEST_P(BackendConformance, refuses_wrong_and_missing_descriptors_and_then_takes_the_right_ones) {
  auto backend = in_use();
  Saved saved = freeze_and_save(*backend);
  auto to = pending();
  for (size_t wrong = 0; wrong < saved.fds.size(); ++wrong) {
    for (int kind = 0; kind < kWrongKinds; ++kind) {
      auto fds = duplicates(saved.fds);
      fds[wrong] = wrong_descriptor(kind);
      if (!fds[wrong]) continue;
      vmstate::Reader reader(saved.bytes, std::move(fds));
      auto adopted = to->adopt(reader);
      ASSERT_FALSE(adopted) << "descriptor " << wrong << " is of wrong kind " << kind;
      EXPECT_FALSE(adopted.error().message().empty());
      EXPECT_TRUE(to->pending());
    }
    auto fewer = duplicates(saved.fds);
    fewer.resize(wrong);
    vmstate::Reader reader(saved.bytes, std::move(fewer));
    ASSERT_FALSE(to->adopt(reader)) << "only " << wrong << " descriptors arrived";
    EXPECT_TRUE(to->pending());
  }
  send(4);
  auto reader = saved.arrive();
  auto adopted = to->adopt(reader);
  ASSERT_TRUE(adopted) << adopted.error().message();
  to->thaw();
  backend->release();
  expect_works(*to);
}

TEST_P(BackendConformance, a_state_with_any_byte_changed_harms_nobody) {
  auto backend = in_use();
  Saved saved = freeze_and_save(*backend);
  for (size_t at = 0; at < saved.bytes.size(); ++at) {
    for (uint8_t change : {0x01, 0x80, 0xff}) {
      Bytes bytes = saved.bytes;
      bytes[at] ^= change;
      auto to = pending();
      vmstate::Reader reader(bytes, duplicates(saved.fds));
      auto adopted = to->adopt(reader);
      EXPECT_EQ(to->pending(), !adopted);
    }
  }
  backend->thaw();
  expect_works(*backend);
}

TEST_P(BackendConformance, has_as_many_ports_as_pairs_are_active_wherever_it_is) {
  auto backend = in_use();
  if (!rig_->has_ports()) GTEST_SKIP() << "no frame goes through its ports";
  std::vector<unsigned> counts;
  for (unsigned pairs = backend->queue_pairs(); pairs >= 1; --pairs) counts.push_back(pairs);
  counts.push_back(backend->queue_pairs());
  for (unsigned pairs : counts) {
    auto set = backend->set_active_pairs(pairs);
    ASSERT_TRUE(set) << set.error().message();
    EXPECT_TRUE(backend->set_active_pairs(pairs)) << "the same again";
    EXPECT_EQ(active_ports(*backend), pairs);
    expect_works(*backend);
    auto to = move(*backend);
    EXPECT_EQ(active_ports(*to), pairs);
    for (unsigned pair = 0; pair < to->queue_pairs(); ++pair) {
      EXPECT_EQ(to->port(pair).fd() >= 0, pair < pairs) << "port " << pair << " of " << pairs << " active";
    }
    backend = std::move(to);
    expect_works(*backend);
  }
}

TEST_P(BackendConformance, may_be_told_its_offloads_before_and_after_a_move) {
  auto backend = in_use();
  ASSERT_TRUE(backend->set_offloads(backend->offloads()));
  auto to = move(*backend);
  backend.reset();
  expect_works(*to);
  ASSERT_TRUE(to->set_offloads({}));
  expect_works(*to);
}

}  // namespace pagurus::net::testing
