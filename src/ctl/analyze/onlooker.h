// Onlooker: takes part in a migration as its destination, up to the moment in which it has seen everything,
// and then refuses, so that the guest goes on where it is.  It never touches the ownership word.
//
//   listening ──connection──▶ HELLO ──▶ WELCOME ──▶ PREPARE ──▶ READY ──▶ RAM ... STATE ──▶ REFUSED
//
// The guest is held still from READY until REFUSED has arrived, so nothing is printed in between.
//
// Threads: one.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "ctl/analyze/stream_printer.h"
#include "ctl/patience.h"

namespace pagurus::ctl {

class Onlooker {
 public:
  // Makes the socket, which only this user can connect to.
  static Result<Onlooker> listen(const std::string& path);
  Onlooker(Onlooker&& other) noexcept;
  Onlooker& operator=(Onlooker&&) = delete;
  // Removes the socket.
  ~Onlooker();

  // Lets another user's process connect.
  Result<void> give_to(uid_t uid, gid_t gid) const;
  // Waits for one source and prints what it sends.
  Result<void> watch(StreamPrinter& printer, const Patience& patience) const;

 private:
  Onlooker(std::string path, UniqueFd listener) : path_(std::move(path)), listener_(std::move(listener)) {}

  std::string path_;
  UniqueFd listener_;
};

}  // namespace pagurus::ctl
