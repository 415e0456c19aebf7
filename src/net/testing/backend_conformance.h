// The tests that every implementation of net::Backend passes: it moves, moves back, refuses, fails in each
// call and rolls back, and not a frame or a descriptor is lost or doubled on the way.
//
// An implementation joins by a Rig, its host side and the means to make back ends of equal options, and
//
//   INSTANTIATE_TEST_SUITE_P(Tap, BackendConformance, ::testing::Values(RigCase{"one_queue", &make_rig}),
//                            rig_name);
//
// in its own test file.  The tests themselves are in backend_conformance_test.cc.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/backend.h"

namespace pagurus::net::testing {

using Bytes = std::vector<uint8_t>;

// One network of the host with one guest's place in it.
class Rig {
 public:
  virtual ~Rig() = default;
  // A pending back end with the options that every process of this guest is given.  The first one is
  // opened, the others adopt it.
  virtual std::unique_ptr<Backend> make() = 0;
  // The other end of the wire, a whole Ethernet frame each: puts one on it; takes one that the back end has
  // transmitted, if there is any now.
  virtual void send(const Bytes& frame) = 0;
  virtual std::optional<Bytes> receive() = 0;
  // Whether frames go through the ports.
  virtual bool has_ports() const { return true; }
  // Does what is due in the back end's and the peer's event loops; called again and again while the tests
  // wait for something.
  virtual void turn() {}
};

struct RigCase {
  const char* name;
  // An error says why this machine cannot try it: the tests are skipped with it.
  Result<std::unique_ptr<Rig>> (*make)();
};

inline std::string rig_name(const ::testing::TestParamInfo<RigCase>& info) { return info.param.name; }

// A front end that holds still by not running at all.
class StillListener final : public BackendListener {
 public:
  void hold_still(const std::function<void()>& change) override { change(); }
  void connection_changed() override { ++changes; }
  int changes = 0;
};

// What freeze() and save() leave in the source's hands: the bytes, and descriptors to lend.
struct Saved {
  Bytes bytes;
  std::vector<int> fds;
  // As it arrives in another process, with descriptors of its own.
  vmstate::Reader arrive() const;
};

class BackendConformance : public ::testing::TestWithParam<RigCase> {
 protected:
  void SetUp() override;
  void TearDown() override;

  // A pending back end that has a listener.
  std::unique_ptr<Backend> pending();
  // Opened, thawed and connected, all pairs active.
  std::unique_ptr<Backend> in_use();
  // The early state, if there is any, goes over as before a pause.
  void move_early(Backend& from, Backend& to);
  // Frozen on both sides when it returns.
  Saved freeze_and_save(Backend& from);
  std::unique_ptr<Backend> move(Backend& from);
  // Waits until the back end is connected.
  void connect(Backend& backend);

  // Frames are numbered.  The wire sends the next `count` of them.
  void send(int count);
  // Every active port of the back end transmits the next `count`.
  void transmit(Backend& backend, int count);
  // Everything that was sent or transmitted has come to the other side, once each.
  void expect_all_received(Backend& backend);
  void expect_all_transmitted();
  // Frames pass in both directions.
  void expect_works(Backend& backend);

  static unsigned active_ports(Backend& backend);

  std::unique_ptr<Rig> rig_;

 private:
  void collect(Backend& backend);
  size_t descriptors_before_ = 0;
  StillListener listener_;
  uint32_t next_ = 1;
  std::vector<uint32_t> sent_, received_, transmitted_, arrived_;
};

}  // namespace pagurus::net::testing
