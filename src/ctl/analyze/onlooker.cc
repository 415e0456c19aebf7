#include "ctl/analyze/onlooker.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ctl/unix_address.h"
#include "wire/channel.h"

namespace pagurus::ctl {
namespace {

constexpr const char* kSeenEnough = "pagurusctl analyze has seen enough";

// An answer is small: it fits into the socket.
template <class T>
Result<void> answer(int socket, wire::MessageType type, const T& body) {
  vmstate::Writer writer;
  vmstate::write_state(writer, body);
  auto header = wire::encode_header(type, writer);
  std::vector<uint8_t> bytes(header.begin(), header.end());
  bytes.insert(bytes.end(), writer.bytes().begin(), writer.bytes().end());
  ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) return fail_errno(errno, "cannot answer the source");
  if (static_cast<size_t>(sent) != bytes.size()) return fail("the source does not read its answer");
  return {};
}

Result<void> refuse(int socket, const std::string& reason) {
  return answer(socket, wire::MessageType::kRefused, wire::Refused{reason});
}

// What a destination would adopt that has everything the source has.
Result<wire::Welcome> welcome_for(const Frame& frame) {
  vmstate::Reader reader(frame.body, {});
  auto hello = TRY(vmstate::read_state<wire::Hello>(reader));
  wire::Welcome welcome{.vmm_version = PAGURUS_VERSION, .wanted = {}, .unknown = {}};
  for (const wire::BackendEntry& backend : hello.backends) {
    bool included = hello.targets.empty() || std::ranges::count(hello.targets, backend.target) != 0;
    if (hello.backend_transfer && included && backend.takes_part) welcome.wanted.push_back(backend.name);
  }
  return welcome;
}

enum class Course { kGoesOn, kOver };

Result<Course> react(int socket, const Frame& frame, StreamPrinter& printer) {
  using enum wire::MessageType;
  // With the guest held still: first of all it goes on.
  auto refused = frame.header.type == kState && frame.known ? refuse(socket, kSeenEnough) : Result<void>();
  printer.print(frame);
  TRY(refused);
  if (!frame.known) {
    TRY(refuse(socket, "pagurusctl analyze does not know this message"));
    return Course::kOver;
  }
  switch (frame.header.type) {
    case kHello: {
      auto welcome = TRY(welcome_for(frame));
      TRY(answer(socket, kWelcome, welcome));
      return Course::kGoesOn;
    }
    case kPrepare:
    case kPrepareCopy: TRY(answer(socket, kReady, wire::Ready{})); return Course::kGoesOn;
    case kState:
    case kRefused: return Course::kOver;
    default: return Course::kGoesOn;
  }
}

Result<void> watch_stream(FrameReader& reader, StreamPrinter& printer) {
  while (true) {
    auto frame = TRY(reader.next());
    if (!frame) return {};
    if (TRY(react(reader.fd(), *frame, printer)) == Course::kOver) return {};
  }
}

}  // namespace

Result<Onlooker> Onlooker::listen(const std::string& path) {
  sockaddr_un address = TRY(unix_address(path));
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno(errno, "cannot create a socket");
  mode_t former = umask(0177);
  int bound = bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  int error = errno;
  umask(former);
  if (bound < 0) return fail_errno(error, "cannot make the socket '{}'", path);
  Onlooker onlooker(path, std::move(socket));
  if (::listen(onlooker.listener_.get(), 1) < 0) return fail_errno(errno, "cannot listen at '{}'", path);
  return onlooker;
}

Onlooker::Onlooker(Onlooker&& other) noexcept
    : path_(std::exchange(other.path_, "")), listener_(std::move(other.listener_)) {}

Onlooker::~Onlooker() {
  if (!path_.empty()) unlink(path_.c_str());
}

Result<void> Onlooker::give_to(uid_t uid, gid_t gid) const {
  if (chown(path_.c_str(), uid, gid) < 0) return fail_errno(errno, "cannot give '{}' to user {}", path_, uid);
  return {};
}

Result<void> Onlooker::watch(StreamPrinter& printer, const Patience& patience) const {
  if (TRY(wait_for(listener_.get(), POLLIN, patience)) == Ready::kTimeout) return fail("no source came in time");
  UniqueFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) return fail_errno(errno, "cannot accept a connection");
  auto reader = TRY(FrameReader::create(std::move(connection), patience));
  auto result = watch_stream(reader, printer);
  if (!printer.begun() && result) return fail("the source sent nothing");
  if (!printer.begun()) return result;
  if (!result) {
    printer.end(fmt::format("broken off at {}: {}", reader.offset(), result.error().message()));
  } else {
    printer.end(printer.whole() ? "complete" : fmt::format("truncated at {}", reader.offset()));
  }
  return result;
}

}  // namespace pagurus::ctl
