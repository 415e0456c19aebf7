// The state of a stream socket's back end as it moves.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmstate/description.h"

namespace pagurus::net {

struct StreamState {
  bool server = false;
  bool connecting = false;              // a client that was on its way, or waited for its next attempt
  std::vector<vmstate::Fd> listener;    // at most one
  std::string path;                     // of the listener, to unlink at the end; empty: none
  std::vector<vmstate::Fd> connection;  // at most one
  std::vector<uint8_t> received;        // StreamRemains
  std::vector<uint8_t> unsent;

  static const vmstate::Description& description();
  Result<void> validate() const;
};

}  // namespace pagurus::net
