#include "net/stream_state.h"

#include "net/stream_port.h"

namespace pagurus::net {

const vmstate::Description& StreamState::description() {
  constexpr uint64_t kMaxPath = 108;  // sizeof sockaddr_un::sun_path
  constexpr uint64_t kMaxBytes = kStreamLengthBytes + kMaxStreamFrame;
  static constexpr auto kFields = std::array{
      vmstate::field<&StreamState::server>("server"),
      vmstate::field<&StreamState::connecting>("connecting"),
      vmstate::field<&StreamState::listener>("listener", {.max = 1}),
      vmstate::field<&StreamState::path>("path", {.max = kMaxPath}),
      vmstate::field<&StreamState::connection>("connection", {.max = 1}),
      vmstate::field<&StreamState::received>("received", {.max = kMaxBytes}),
      vmstate::field<&StreamState::unsent>("unsent", {.max = kMaxBytes}),
  };
  static constexpr vmstate::Description kDescription{"net-stream", 1, kFields};
  return kDescription;
}

Result<void> StreamState::validate() const {
  if (connection.empty() && (!received.empty() || !unsent.empty())) {
    return fail("bytes are in flight where there is no connection");
  }
  if (server && listener.empty()) return fail("a server without a listening socket");
  if (!server && !listener.empty()) return fail("a client with a listening socket");
  return StreamRemains{received, unsent}.validate();
}

}  // namespace pagurus::net
