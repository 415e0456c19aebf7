#include "round.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include "base/clock.h"
#include "crew.h"
#include "machine.h"
#include "state.h"

namespace pagurus::floor {
namespace {

constexpr unsigned kStepsBefore = 50;
constexpr uint64_t kMiB = 1024 * 1024;
constexpr size_t kMaxDescriptors = 250;

// The message in memory, allocated and touched before the pause.  Only the used parts of the big areas travel.
struct Message {
  VmState vm{};
  std::vector<VcpuState> vcpus;
  size_t xsave_bytes = sizeof(kvm_xsave);

  std::vector<iovec> pieces(const std::vector<Vcpu>& owners) {
    std::vector<iovec> found{{&vm, sizeof vm}};
    for (size_t i = 0; i < vcpus.size(); ++i) {
      size_t entries = owners[i].msr_indices.size() * sizeof(kvm_msr_entry);
      found.push_back({&vcpus[i], offsetof(VcpuState, xsave)});
      found.push_back({vcpus[i].xsave, xsave_bytes});
      found.push_back({&vcpus[i].msrs, offsetof(MsrBuffer, entries) + entries});
    }
    return found;
  }
};

size_t total(std::span<const iovec> pieces) {
  size_t bytes = 0;
  for (const iovec& piece : pieces) bytes += piece.iov_len;
  return bytes;
}

Result<Message> make_message(Machine& machine) {
  Message message;
  message.vcpus.resize(machine.vcpus().size());
  int xsave2 = TRY_KVM(machine.fd(), KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
  message.xsave_bytes = std::max(message.xsave_bytes, static_cast<size_t>(xsave2));
  if (message.xsave_bytes > sizeof(VcpuState::xsave)) return fail("an xsave area of {} bytes", message.xsave_bytes);
  return message;
}

struct Control {
  alignas(cmsghdr) char bytes[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
};

Result<void> send_state(int socket, std::vector<iovec> pieces, const std::vector<UniqueFd>& descriptors) {
  Control control{};
  msghdr header{};
  header.msg_iov = pieces.data();
  header.msg_iovlen = pieces.size();
  if (!descriptors.empty()) {
    header.msg_control = control.bytes;
    header.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
    for (size_t i = 0; i < descriptors.size(); ++i) {
      int fd = descriptors[i].get();
      std::memcpy(CMSG_DATA(rights) + i * sizeof fd, &fd, sizeof fd);
    }
  }
  ssize_t sent = ::sendmsg(socket, &header, MSG_NOSIGNAL);
  if (sent < 0) return fail_errno(errno, "cannot send the state");
  if (static_cast<size_t>(sent) != total(pieces)) return fail("only a part of the state was sent");
  return {};
}

// What is left of the pieces after so many bytes.
void skip(std::vector<iovec>& pieces, size_t bytes) {
  auto piece = pieces.begin();
  for (; piece != pieces.end() && bytes >= piece->iov_len; ++piece) bytes -= piece->iov_len;
  pieces.erase(pieces.begin(), piece);
  if (bytes == 0) return;
  pieces.front().iov_base = static_cast<char*>(pieces.front().iov_base) + bytes;
  pieces.front().iov_len -= bytes;
}

Result<void> receive_state(int socket, std::vector<iovec> pieces, size_t descriptors) {
  size_t arrived = 0;
  while (!pieces.empty()) {
    Control control;
    msghdr header{};
    header.msg_iov = pieces.data();
    header.msg_iovlen = pieces.size();
    header.msg_control = control.bytes;
    header.msg_controllen = sizeof control.bytes;
    ssize_t received = ::recvmsg(socket, &header, MSG_WAITALL | MSG_CMSG_CLOEXEC);
    if (received <= 0) return fail_errno(received < 0 ? errno : EPIPE, "cannot receive the state");
    if (cmsghdr* rights = CMSG_FIRSTHDR(&header)) arrived += (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    skip(pieces, static_cast<size_t>(received));
  }
  if (arrived != descriptors) return fail("{} descriptors arrived, not {}", arrived, descriptors);
  return {};
}

Result<std::vector<UniqueFd>> make_descriptors(unsigned count) {
  std::vector<UniqueFd> made(count);
  for (auto& fd : made) {
    fd.reset(::eventfd(0, EFD_CLOEXEC));
    if (!fd) return fail_errno(errno, "cannot make an eventfd");
  }
  return made;
}

Result<void> run_source(const Options& options, int ram, int socket, Times& times) {
  auto machine = TRY(Machine::create(options.vcpus, ram, options.memory_mib * kMiB, Machine::Populate::kNo));
  TRY(machine->boot());
  auto& vcpus = machine->vcpus();
  Message message = TRY(make_message(*machine));
  auto pieces = message.pieces(vcpus);
  auto descriptors = TRY(make_descriptors(options.descriptors));
  Crew crew(options.vcpus);
  char ready = 0;
  if (::recv(socket, &ready, 1, 0) != 1) return fail("the destination did not get ready");
  Crew::Job run_and_stop = [&](unsigned id) -> Result<void> {
    for (unsigned step = 0; step < kStepsBefore; ++step) TRY(vcpus[id].step());
    return vcpus[id].finish_step();
  };
  Crew::Job get_state = [&](unsigned id) -> Result<void> {
    if (id == 0) TRY(get(machine->fd(), message.vm));
    return get(vcpus[id], message.vcpus[id], message.xsave_bytes);
  };
  TRY(crew.run(run_and_stop));

  times.begun = monotonic_ns();
  TRY(crew.run(get_state));
  times.got = monotonic_ns();
  TRY(send_state(socket, std::move(pieces), descriptors));
  times.sent = monotonic_ns();
  // The other side runs the guest before this one tears anything down.
  if (::recv(socket, &ready, 1, 0) != 1) return fail("the destination did not run the guest");
  return {};
}

Result<void> run_destination(const Options& options, int ram, int socket, Times& times) {
  auto machine = TRY(Machine::create(options.vcpus, ram, options.memory_mib * kMiB, Machine::Populate::kYes));
  auto& vcpus = machine->vcpus();
  Message message = TRY(make_message(*machine));
  auto pieces = message.pieces(vcpus);
  Crew::Job set_state = [&](unsigned id) -> Result<void> {
    if (id == 0) TRY(set(machine->fd(), message.vm));
    return set(vcpus[id], message.vcpus[id]);
  };
  Crew::Job enter = [&vcpus](unsigned id) { return vcpus[id].step(); };
  Crew crew(options.vcpus);
  if (::send(socket, "r", 1, MSG_NOSIGNAL) != 1) return fail("the source is gone");

  TRY(receive_state(socket, std::move(pieces), options.descriptors));
  times.received = monotonic_ns();
  TRY(crew.run(set_state));
  times.set = monotonic_ns();
  TRY(crew.run(enter));
  times.entered = monotonic_ns();
  if (::send(socket, "r", 1, MSG_NOSIGNAL) != 1) return fail("the source is gone");
  return {};
}

template <class Side>
pid_t start(const char* name, Side&& side) {
  pid_t pid = ::fork();
  if (pid != 0) return pid;
  Result<void> done = side();
  if (!done) fmt::print(stderr, "floor: {}: {}\n", name, done.error().message());
  ::_exit(done ? 0 : 1);
}

bool succeeded(pid_t pid) {
  int status = 0;
  return pid > 0 && ::waitpid(pid, &status, 0) == pid && status == 0;
}

}  // namespace

Result<Times> run_round(const Options& options) {
  UniqueFd ram(::memfd_create("floor", MFD_CLOEXEC));
  if (!ram || ::ftruncate(ram.get(), static_cast<off_t>(options.memory_mib * kMiB)) != 0) {
    return fail_errno(errno, "cannot make {} MiB of RAM", options.memory_mib);
  }
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return fail_errno(errno, "socketpair");
  UniqueFd ours(pair[0]), theirs(pair[1]);
  // All of it fits in, whatever net.core.wmem_max says; without the privilege a large state takes several turns.
  int buffer = 16 * static_cast<int>(kMiB);
  (void)::setsockopt(ours.get(), SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
  void* shared = ::mmap(nullptr, sizeof(Times), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return fail_errno(errno, "mmap");
  auto* times = new (shared) Times{};

  pid_t source = start("source", [&] {
    theirs.reset();
    return run_source(options, ram.get(), ours.get(), *times);
  });
  pid_t destination = start("destination", [&] {
    ours.reset();
    return run_destination(options, ram.get(), theirs.get(), *times);
  });
  ours.reset();
  theirs.reset();
  bool source_done = succeeded(source), destination_done = succeeded(destination);
  Times result = *times;
  ::munmap(shared, sizeof(Times));
  if (!source_done || !destination_done) return fail("a process failed, see above");
  return result;
}

}  // namespace pagurus::floor
