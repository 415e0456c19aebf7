// The other end of a vhost-user connection, for tests: it notes every message, keeps the descriptors and answers
// as it should, or as a test wants.
//
// Threads: one of its own serves the connection; lock_ guards what it noted.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "net/vhost_user/connection.h"

namespace pagurus::net::testing {

using vhost_user::Request;

class VhostUserPeer {
 public:
  struct Message {
    Request request;
    vhost_user::Bytes payload;
    std::vector<UniqueFd> fds;
  };
  struct Abilities {
    // VERSION_1, RING_PACKED, INDIRECT_DESC, EVENT_IDX, MRG_RXBUF, MQ, checksums; and protocol features.
    uint64_t features = (uint64_t{0x5} << 32) | (uint64_t{0x7} << 28) | (1U << 22) | (1U << 15) | 0x3;
    uint64_t protocol = vhost_user::kProtocolMq | vhost_user::kProtocolReplyAck;
    uint64_t queue_pairs = 16;
    unsigned inflight_fds = 1;  // how many descriptors go with the answer to GET_INFLIGHT_FD
  };
  // The bytes to answer a request with, header included; an empty answer hangs up, nothing: as it should.
  using Liar = std::function<std::optional<vhost_user::Bytes>(Request)>;

  explicit VhostUserPeer(UniqueFd socket) : VhostUserPeer(std::move(socket), Abilities{}, nullptr) {}
  VhostUserPeer(UniqueFd socket, Abilities abilities, Liar liar);
  ~VhostUserPeer();

  void hang_up();
  // What came since the last call.
  std::vector<Message> take();
  // Where it says that a ring stands, when it is stopped.
  void stand_at(unsigned queue, uint32_t base);
  // What answers to a request look like.
  static vhost_user::Bytes answer(Request request, const vhost_user::Bytes& payload);

 private:
  void run();
  std::optional<Message> receive();
  vhost_user::Bytes reply_to(const Message& message, bool wants_acknowledgement);
  vhost_user::Bytes make_inflight(const Message& message);
  bool send(const vhost_user::Bytes& bytes, std::span<const int> fds);

  UniqueFd socket_;
  Abilities abilities_;
  Liar liar_;
  bool need_reply_ = false;  // of the last message
  UniqueFd inflight_;
  std::mutex lock_;
  std::vector<Message> messages_;
  std::map<unsigned, uint32_t> bases_;
  std::thread thread_;
};

// The requests, for comparisons.
std::vector<Request> requests_of(const std::vector<VhostUserPeer::Message>& messages);

}  // namespace pagurus::net::testing
