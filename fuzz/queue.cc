// A driver that writes anything into the rings of one queue, split or packed, while a device pops, gives back,
// pushes, publishes and moves.  Whatever it writes, each call ends, and no buffer lies outside RAM.
#include "fuzz/input.h"
#include "fuzz/target.h"
#include "virtio/testing/make_ring.h"

namespace pagurus::fuzz {
namespace {

using virtio::DescriptorChain;
using virtio::Queue;
using virtio::QueueFeatures;
using virtio::QueuePosition;
using virtio::testing::Layout;

constexpr uint64_t kRam = 64 * memory::kMiB;
constexpr memory::GuestAddress kRing{0x10000};
constexpr uint64_t kTables = 0x30000;
constexpr unsigned kMostSteps = 256;

enum Step : uint8_t {
  kOffer,
  kDescriptor,
  kIndirect,
  kBytes,
  kPop,
  kUnpop,
  kPush,
  kPublish,
  kEnable,
  kDisable,
  kMove,
  kSteps,
};

class Device {
 public:
  Device(const memory::GuestMemory& ram, Input& input)
      : ram_(ram),
        input_(input),
        choice_(input.number<uint8_t>()),
        features_{.event_idx = (choice_ & 1) != 0, .indirect = (choice_ & 2) != 0, .packed = (choice_ & 4) != 0},
        size_(size()),
        ring_(virtio::testing::make_ring(features_.packed ? Layout::kPacked : Layout::kSplit, ram, kRing, size_)) {}

  void run() {
    QueuePosition position = Queue::first_position(features_);
    // One that a stranger saved.
    if ((choice_ & 8) != 0) {
      position = {.avail = input_.number<uint16_t>(), .used = input_.number<uint16_t>()};
      ring_->restart_at(position);
    }
    auto queue = Queue::activate(ring_->config(), 256, features_, position, ram_);
    if (!queue) return;
    queue_.emplace(*std::move(queue));
    for (unsigned steps = 0; !input_.empty() && steps < kMostSteps && whole_; ++steps) step();
  }

 private:
  uint16_t size() {
    unsigned wanted = 1 + input_.number<uint8_t>() % 32;
    return static_cast<uint16_t>(features_.packed ? wanted : std::bit_ceil(wanted));
  }

  void step() {
    switch (static_cast<Step>(input_.number<uint8_t>() % kSteps)) {
      case kOffer: return offer();
      case kDescriptor: return write_descriptor(kRing + uint64_t{16} * (input_.number<uint8_t>() % size_));
      case kIndirect: return write_descriptor({kTables + uint64_t{16} * (input_.number<uint8_t>() % 64)});
      case kBytes: return write_bytes();
      case kPop: return pop();
      case kUnpop:
        if (chains_.size() > pushed_before_) unpop();
        return;
      case kPush: return push();
      case kPublish: return (void)queue_->publish_used();
      case kEnable: return enable();
      case kDisable: return queue_->disable_kicks();
      default: return move();
    }
  }

  void offer() {
    std::vector<virtio::testing::Buffer> buffers;
    for (unsigned count = 1 + input_.number<uint8_t>() % 4; count > 0; --count) {
      uint32_t address = input_.number<uint32_t>();
      uint32_t length = input_.number<uint16_t>();
      buffers.push_back({address % (65u << 20), length, input_.number<uint8_t>() % 2 == 1});
    }
    ring_->offer(buffers);
  }
  // The two layouts differ in the order of the last two numbers.
  void write_descriptor(memory::GuestAddress at) {
    uint64_t address = input_.number<uint8_t>() % 4 == 0 ? input_.number<uint64_t>() : input_.number<uint32_t>() % kRam;
    uint32_t length = input_.number<uint8_t>() % 4 == 0 ? input_.number<uint32_t>() : input_.number<uint8_t>() * 16u;
    uint16_t third = input_.number<uint16_t>();
    ram_.write_value(at, virtio::Descriptor{address, length, third, input_.number<uint16_t>()});
  }
  void write_bytes() {
    auto config = ring_->config();
    memory::GuestAddress areas[] = {config.descriptors, config.avail, config.used};
    uint8_t choice = input_.number<uint8_t>();
    auto at = areas[choice % 3] + input_.number<uint8_t>();
    ram_.write(at, input_.take(1 + choice / 3 % 16));
  }

  void check(DescriptorChain& chain) {
    uint64_t bytes = 0;
    size_t count = 0;
    for (auto part : {chain.readable(), chain.writable()}) {
      for (const iovec& buffer : part) {
        auto* begin = static_cast<uint8_t*>(buffer.iov_base);
        CHECK(begin >= ram_.host_base() && buffer.iov_len != 0 && buffer.iov_len <= kRam &&
                  begin + buffer.iov_len <= ram_.host_base() + kRam,
              "a buffer lies in RAM");
        bytes += buffer.iov_len;
        ++count;
      }
    }
    CHECK(count != 0 && count <= size_, "a chain is at most as long as its queue");
    CHECK(bytes == chain.readable_bytes() + chain.writable_bytes() && bytes <= UINT32_MAX, "the bytes are counted");
  }
  void pop() {
    auto popped = queue_->pop(chain_);
    whole_ = popped.has_value();
    if (!whole_ || !*popped) return;
    check(chain_);
    chains_.push_back(chain_);
    // What was pushed and is not published is still the device's, but no part of a chain in flight.
    CHECK(chains_.size() <= 2u * size_, "no more chains in flight than a ring has entries");
  }
  void enable() {
    // As Queue has it: when there is none.
    pop();
    if (!whole_ || !chains_.empty()) return;
    auto more = queue_->enable_kicks();
    whole_ = more.has_value();
  }
  void unpop() {
    queue_->unpop(chains_.back());
    chains_.pop_back();
  }
  void push() {
    if (chains_.empty()) return;
    size_t which = input_.number<uint8_t>();
    // Mostly the oldest.
    which = which % 4 == 0 ? which / 4 % chains_.size() : 0;
    push(which, static_cast<uint32_t>(std::min<uint64_t>(chains_[which].writable_bytes(), input_.number<uint16_t>())));
  }
  void push(size_t which, uint32_t written) {
    queue_->push_used(chains_[which], written);
    chains_.erase(chains_.begin() + static_cast<ptrdiff_t>(which));
    if (which != 0) pushed_before_ = std::max(pushed_before_, which);
    pushed_before_ = std::min(which == 0 && pushed_before_ > 0 ? pushed_before_ - 1 : pushed_before_, chains_.size());
  }
  // To another process: no chain is in flight.
  void move() {
    while (chains_.size() > pushed_before_) unpop();
    while (!chains_.empty()) push(0, 0);
    (void)queue_->publish_used();
    QueuePosition position = queue_->position();
    auto next = Queue::activate(ring_->config(), 256, features_, position, ram_);
    CHECK(next && next->position() == position, "a queue goes on where it was");
    queue_.reset();
    queue_.emplace(*std::move(next));
  }

  const memory::GuestMemory& ram_;
  Input& input_;
  uint8_t choice_;
  QueueFeatures features_;
  uint16_t size_;
  std::unique_ptr<virtio::testing::DriverRing> ring_;
  std::optional<Queue> queue_;
  DescriptorChain chain_;
  std::vector<DescriptorChain> chains_;  // in flight, the oldest first
  size_t pushed_before_ = 0;             // so many of them are older than one that was pushed: they cannot go back
  bool whole_ = true;
};

const memory::GuestMemory& fresh_ram() {
  static memory::GuestMemory ram = [] {
    auto made = *memory::GuestMemory::create(kRam, memory::Pages::kSmall);
    CHECK(made.allocate().has_value(), "RAM of 64 MiB");
    return made;
  }();
  ram.write(kRing, Bytes(0x10000));
  ram.write({kTables}, Bytes(0x1000));
  return ram;
}

}  // namespace

std::vector<Bytes> seeds() {
  Bytes small{kOffer, 0, 0, 0, 2, 0, 64, 0, 1, kPop};
  Bytes large{kOffer, 2, 0, 0, 2, 0, 64, 0, 0, 0, 0, 3, 0, 64, 0, 1, 0, 0, 4, 0, 64, 0, 1, kPop};
  Bytes back{kPush, 1, 32, 0, kPublish};
  Bytes again{kUnpop, kPop};
  Bytes idle{kPop, kEnable, kDisable};
  Bytes table{kIndirect, 0, 1, 0, 0, 2, 0, 1, 2, 0, 0, 1, 0, kIndirect, 1, 1, 0, 0, 2, 0, 1, 2, 2, 0, 0, 0};
  // Its flags come last in a packed ring, where AVAIL offers it.
  Bytes split_head{kDescriptor, 0, 1, 0, 0, 3, 0, 1, 2, 4, 0, 0, 0, kBytes, 1, 2, 1, 0, kPop};
  Bytes packed_head{kDescriptor, 0, 1, 0, 0, 3, 0, 1, 2, 9, 0, 0x84, 0, kPop};
  std::vector<Bytes> result;
  for (uint8_t features = 0; features < 8; ++features) {
    bool packed = (features & 4) != 0;
    for (uint8_t size : {7, 12}) {
      Bytes input{features, size};
      for (int round = 0; round < 6; ++round) {
        for (const Bytes& part : {small, large, again, back, back, idle, {kMove}}) {
          input.insert(input.end(), part.begin(), part.end());
        }
      }
      result.push_back(input);
    }
    Bytes input{features, 7};
    for (const Bytes& part : {table, packed ? packed_head : split_head, again, back, idle, small, back}) {
      input.insert(input.end(), part.begin(), part.end());
    }
    result.push_back(input);
    // Offers what has not come back yet.
    Bytes greedy{features, 7};
    for (int round = 0; round < 12; ++round) {
      greedy.insert(greedy.end(), small.begin(), small.end());
      greedy.insert(greedy.end(), back.begin(), back.end() - 1);
    }
    greedy.push_back(kMove);
    result.push_back(greedy);
    // From the middle of a ring.
    Bytes middle{static_cast<uint8_t>(features | 8), 7, 3, 0x80, 1, 0x80};
    for (const Bytes& part : {idle, small, back, large, back, large, back}) {
      middle.insert(middle.end(), part.begin(), part.end());
    }
    result.push_back(middle);
  }
  return result;
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus::fuzz;
  Input input(data, size);
  Device(fresh_ram(), input).run();
  return 0;
}
