#include "kvm/vcpu_set.h"

#include <fmt/core.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <optional>

#include "base/clock.h"
#include "kvm/kick_signal.h"

namespace pagurus::kvm {
namespace {

constexpr uint32_t kMaxVcpus = 255;
// A guest's watchdogs bark after several seconds; a shorter pause needs no excuse.
constexpr int64_t kNoticeablePauseNs = 1'000'000'000;

enum class Mode : uint32_t { kParked, kRunning, kEnding };

using Job = std::function<void(size_t index, Vcpu& vcpu)>;

// Blocks until `count` is 0.
void wait_zero(std::atomic<uint32_t>& count) {
  for (uint32_t now = count.load(); now != 0; now = count.load()) count.wait(now);
}

void count_down(std::atomic<uint32_t>& count) {
  if (count.fetch_sub(1) == 1) count.notify_all();
}

// The handler does nothing: it is there so that the signal interrupts KVM_RUN and does not kill.
Result<void> install_kick_handler() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  if (::sigaction(kick_signal(), &action, nullptr) != 0) {
    return fail_errno(errno, "cannot install the handler of signal {}", kick_signal());
  }
  return {};
}

}  // namespace

// No kick is lost.  In the single order of the sequentially consistent operations, the thread does
// T1 immediate_exit = 0, T2 read mode, T3 KVM_RUN; who pauses does P1 mode = parked, P2
// immediate_exit = 1, P3 signal.  If T1 comes before P2, then immediate_exit is 1 from P2 on:
// KVM_RUN returns at once if it begins after P2, and if it had begun before, the signal of P3
// interrupts it. If T1 comes after P2, T2 comes after P1 and sees "parked".
struct VcpuSet::Shared {
  ExitHandler& handler;
  std::atomic<Mode> mode{Mode::kParked};
  std::atomic<uint32_t> running{0};    // threads that are not parked
  std::atomic<uint32_t> jobs_left{0};  // parked threads that have not finished the job
  int64_t paused_since_ns = 0;         // 0: never paused; control thread only
};

struct VcpuSet::Slot {
  Shared& shared;
  size_t index;
  std::unique_ptr<Vcpu> vcpu;
  pthread_t thread{};
  std::atomic<pid_t> thread_id{0};  // 0 until the thread has begun
  std::atomic<uint32_t> wake{0};    // counts; what to do is in the next two
  std::atomic<bool> may_run{false};
  std::atomic<const Job*> job{nullptr};
  // Stopped by itself; written by the thread, cleared by the control thread while it is parked.
  std::atomic<bool> stopped{false};

  void rouse() {
    wake.fetch_add(1);
    wake.notify_one();
  }

  void thread_main() {
    thread_id = ::gettid();
    thread_id.notify_all();
    while (wait_for_permission()) {
      run_until_pause();
      count_down(shared.running);
    }
  }

  // Parked: does jobs.  Returns true if the vCPU may run, false if the thread is to end.
  bool wait_for_permission() {
    for (;;) {
      uint32_t seen = wake.load();
      if (const Job* todo = job.exchange(nullptr)) {
        (*todo)(index, *vcpu);
        count_down(shared.jobs_left);
      }
      // A permission is always taken up, even if a pause was asked for since: whoever gave it
      // counts this thread as running until it has parked again.
      if (may_run.exchange(false)) return true;
      if (shared.mode.load() == Mode::kEnding) return false;
      wake.wait(seen);
    }
  }

  void run_until_pause() {
    bool unfinished = false;
    vcpu->clear_kick();
    while (shared.mode.load() == Mode::kRunning && !stopped.load()) unfinished = dispatch(vcpu->run());
    // An access that was answered takes effect in the vCPU's registers only at the next KVM_RUN.
    while (unfinished && !stopped.load()) unfinished = dispatch(vcpu->finish_exit());
  }

  // Returns whether KVM_RUN must be called again to complete the exit.
  bool dispatch(const Exit& exit) {
    if (const auto* pio = std::get_if<PioExit>(&exit)) return handle(*pio, shared.handler), true;
    if (const auto* mmio = std::get_if<MmioExit>(&exit)) return handle(*mmio, shared.handler), true;
    if (std::holds_alternative<InterruptedExit>(exit)) return false;
    stopped.store(true);
    if (const auto* event = std::get_if<SystemEventExit>(&exit)) {
      shared.handler.system_event(vcpu->id(), event->type);
    } else if (const auto* error = std::get_if<InternalErrorExit>(&exit)) {
      shared.handler.internal_error(vcpu->id(), vcpu->explain(*error));
    } else {
      shared.handler.shutdown(vcpu->id());
    }
    return false;
  }

  Result<void> start_thread() {
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    // Only the kick reaches a vCPU's thread; other signals are for the control thread.
    sigset_t blocked;
    ::sigfillset(&blocked);
    ::sigdelset(&blocked, kick_signal());
    ::pthread_attr_setsigmask_np(&attributes, &blocked);
    int error = ::pthread_create(
        &thread, &attributes,
        [](void* self) -> void* {
          static_cast<Slot*>(self)->thread_main();
          return nullptr;
        },
        this);
    ::pthread_attr_destroy(&attributes);
    if (error != 0) return fail_errno(error, "cannot start the thread of vCPU {}", index);
    ::pthread_setname_np(thread, fmt::format("vcpu{}", index).c_str());
    return {};
  }
};

VcpuSet::VcpuSet() = default;

Result<std::unique_ptr<VcpuSet>> VcpuSet::create(Vm& vm, uint32_t count, ExitHandler& handler) {
  if (count < 1 || count > kMaxVcpus) return fail("{} vCPUs are outside 1 to {}", count, kMaxVcpus);
  TRY(install_kick_handler());
  std::unique_ptr<VcpuSet> set(new VcpuSet);
  set->shared_.reset(new Shared{.handler = handler});
  for (uint32_t id = 0; id < count; ++id) {
    auto vcpu = TRY(Vcpu::create(vm, {.id = id, .count = count}));
    std::unique_ptr<Slot> slot(new Slot{.shared = *set->shared_, .index = id, .vcpu = std::move(vcpu)});
    TRY(slot->start_thread());
    set->slots_.push_back(std::move(slot));
  }
  return set;
}

VcpuSet::~VcpuSet() {
  if (!shared_) return;
  shared_->mode.store(Mode::kEnding);
  for (auto& slot : slots_) {
    slot->vcpu->kick(slot->thread);
    slot->rouse();
  }
  for (auto& slot : slots_) ::pthread_join(slot->thread, nullptr);
}

std::vector<int> VcpuSet::thread_ids() const {
  std::vector<int> ids;
  for (const auto& slot : slots_) {
    slot->thread_id.wait(0);
    ids.push_back(slot->thread_id);
  }
  return ids;
}

uint32_t VcpuSet::size() const { return static_cast<uint32_t>(slots_.size()); }

Result<void> VcpuSet::set_boot(const Linux64Boot& boot) {
  CHECK(paused(), "a vCPU that runs has booted");
  return slots_[0]->vcpu->set_boot(boot);
}

Result<void> VcpuSet::set_boot(const PvhBoot& boot) {
  CHECK(paused(), "a vCPU that runs has booted");
  return slots_[0]->vcpu->set_boot(boot);
}

void VcpuSet::resume() {
  CHECK(paused(), "only parked vCPUs can be resumed");
  if (shared_->paused_since_ns != 0 && monotonic_ns() - shared_->paused_since_ns > kNoticeablePauseNs) {
    for (auto& slot : slots_) slot->vcpu->mark_paused();
  }
  shared_->mode.store(Mode::kRunning);
  for (auto& slot : slots_) {
    if (slot->stopped.load()) continue;
    shared_->running.fetch_add(1);
    slot->may_run.store(true);
    slot->rouse();
  }
}

void VcpuSet::request_pause() {
  Mode expected = Mode::kRunning;
  shared_->mode.compare_exchange_strong(expected, Mode::kParked);
  for (auto& slot : slots_) slot->vcpu->kick(slot->thread);
}

void VcpuSet::wait_paused() {
  wait_zero(shared_->running);
  shared_->paused_since_ns = monotonic_ns();
}

void VcpuSet::note_long_pause() { shared_->paused_since_ns = 1; }

bool VcpuSet::paused() const { return shared_->running.load() == 0; }

// `job` is called as job(index, vcpu), for all vCPUs at the same time.
template <class Function>
void VcpuSet::on_all(const Function& function) {
  CHECK(paused(), "only a parked vCPU's state can be touched");
  Job job = std::cref(function);
  shared_->jobs_left.store(size() - 1);
  for (size_t i = 1; i < slots_.size(); ++i) {
    slots_[i]->job.store(&job);
    slots_[i]->rouse();
  }
  job(0, *slots_[0]->vcpu);
  wait_zero(shared_->jobs_left);
}

Result<std::vector<VcpuState>> VcpuSet::save_all() {
  std::vector<std::optional<Result<VcpuState>>> saved(slots_.size());
  on_all([&saved](size_t i, Vcpu& vcpu) { saved[i] = vcpu.save(); });
  std::vector<VcpuState> states;
  states.reserve(saved.size());
  for (size_t i = 0; i < saved.size(); ++i) {
    states.push_back(TRY_DOING(fmt::format("saving vCPU {}", i), *std::move(saved[i])));
  }
  return states;
}

Result<void> VcpuSet::load_all(std::span<const VcpuState> states, Origin origin) {
  if (states.size() != slots_.size()) {
    return fail("the state has {} vCPUs, this machine has {}", states.size(), slots_.size());
  }
  if (origin == Origin::kThisHost) return load_each(states);
  // One shift for all: what their TSCs differ by stays as it is.
  uint64_t shift = TRY(slots_[0]->vcpu->tsc_shift(states[0]));
  std::vector<VcpuState> shifted(states.begin(), states.end());
  for (VcpuState& state : shifted) state.tsc_offset += shift;
  note_long_pause();
  return load_each(shifted);
}

Result<void> VcpuSet::load_each(std::span<const VcpuState> states) {
  std::vector<Result<void>> loaded(slots_.size());
  on_all([&loaded, states](size_t i, Vcpu& vcpu) { loaded[i] = vcpu.load(states[i]); });
  for (auto& result : loaded) TRY(std::move(result));
  for (auto& slot : slots_) slot->stopped.store(false);
  return {};
}

std::vector<VcpuState> VcpuSet::pristine_all() const {
  std::vector<VcpuState> states;
  for (const auto& slot : slots_) states.push_back(slot->vcpu->pristine());
  return states;
}

Result<void> VcpuSet::reset_all() {
  std::vector<Result<void>> done(slots_.size());
  on_all([&done](size_t i, Vcpu& vcpu) { done[i] = vcpu.reset(); });
  for (size_t i = 0; i < done.size(); ++i) TRY_DOING(fmt::format("resetting vCPU {}", i), std::move(done[i]));
  for (auto& slot : slots_) slot->stopped.store(false);
  return {};
}

bool VcpuSet::pre_fault(const memory::GuestMemory& memory) {
  CHECK(paused(), "memory is pre-faulted before the guest runs");
  auto ranges = memory.used_ranges();
  return ranges && std::ranges::all_of(*ranges, [this](const memory::RamRange& range) {
           return slots_[0]->vcpu->pre_fault(range.base, range.size);
         });
}

std::string VcpuSet::describe(uint32_t vcpu) const {
  CHECK(paused() && vcpu < slots_.size(), "the registers of a parked vCPU can be read");
  return slots_[vcpu]->vcpu->describe();
}

}  // namespace pagurus::kvm
