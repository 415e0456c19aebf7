// The messages of a migration, declared like device state (docs/handover.md draws their exchange).
//
//   source                       destination
//   HELLO         ─────────────▶              manifests: what is the guest, what will move
//                 ◀───────────── WELCOME      equal enough; or REFUSED with a sentence
//   PREPARE       ─────────────▶              local: RAM, ownership word, rehearsal of device state
//   PREPARE-COPY  ─────────────▶              copied: rehearsal; the ownership word if descriptors can travel
//                 ◀───────────── READY        or REFUSED
//   RAM ...       ─────────────▶              copied: pages, while the guest runs and in the pause
//   STATE         ─────────────▶              the pause: every section, every descriptor
//                 ◀───────────── LOADED       without an ownership word: may I?
//   GO            ─────────────▶              without an ownership word: the guest is yours
//                 ◀───────────── RUNNING      or REFUSED
// REFUSED may come from either side at any time and ends the migration.  A file holds HELLO,
// PREPARE-COPY, RAM and STATE.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmstate/description.h"

namespace pagurus::wire {

// Changes only if old and new cannot talk at all; everything else is settled in HELLO.
inline constexpr uint16_t kProtocolVersion = 1;

enum class MessageType : uint16_t {
  kHello = 1,
  kWelcome = 2,
  kPrepare = 3,
  kReady = 4,
  kState = 5,
  kRunning = 6,
  kRefused = 7,
  kPrepareCopy = 8,
  kRam = 9,
  kLoaded = 10,
  kGo = 11,
};
// "HELLO"; "message 99" for one that this version does not know.
std::string name_of(MessageType type);

enum class Mode : uint8_t { kLocal = 1, kCopy = 2 };

struct FactEntry {
  std::string name;
  std::string value;
  static const vmstate::Description& description();
};

struct SectionEntry {
  std::string name;
  std::string signature;  // of the version that is sent
  uint16_t version = 0;
  bool required = true;  // a destination that does not know it must refuse
  static const vmstate::Description& description();
};

struct BackendEntry {
  std::string name;
  std::string target;  // "virtio-net-tap"
  std::string kind;
  std::string signature;
  bool takes_part = false;
  static const vmstate::Description& description();
};

struct Hello {
  std::string vmm_version;  // for people; not compared
  Mode mode = Mode::kLocal;
  // The source may wait for its operator between READY and STATE, for as long as it takes.
  bool waits_before_state = false;
  bool backend_transfer = false;
  std::vector<std::string> targets;  // what it is limited to; empty: nothing
  std::vector<FactEntry> facts;
  std::vector<SectionEntry> sections;
  std::vector<BackendEntry> backends;
  // Resources outside the guest that the source can give (QMP listeners), by name.
  std::vector<std::string> extras;
  static const vmstate::Description& description();
};

struct Welcome {
  std::string vmm_version;
  // Back ends and extras that the destination will adopt.
  std::vector<std::string> wanted;
  // Optional sections that it does not know and will pass over.
  std::vector<std::string> unknown;
  static const vmstate::Description& description();
};

struct SectionData {
  std::string name;
  uint16_t version = 0;
  bool required = true;
  std::vector<uint8_t> bytes;
  std::vector<vmstate::Fd> fds;
  static const vmstate::Description& description();
};

struct Prepare {
  vmstate::Fd ram;
  vmstate::Fd ownership;
  std::vector<SectionData> rehearsal;
  static const vmstate::Description& description();
};

struct PrepareCopy {
  std::vector<vmstate::Fd> ownership;  // one, or none where descriptors cannot travel
  std::vector<SectionData> rehearsal;
  static const vmstate::Description& description();
};

// A run of pages of 4096 bytes.  Offsets are into RAM as one file (memory/guest_memory.h).
struct RamRun {
  uint64_t offset = 0;  // bytes, a multiple of 4096
  uint32_t pages = 0;
  bool zero = false;  // all its bytes are 0, and none of them is in `data`
  static const vmstate::Description& description();
};

inline constexpr uint64_t kMaxRuns = 4096;
inline constexpr uint64_t kMaxRamBytes = 16 * 1024 * 1024;
struct Ram {
  std::vector<RamRun> runs;
  std::vector<uint8_t> data;  // of the runs that are not zero, one after the other
  static const vmstate::Description& description();
};

struct Loaded {
  static const vmstate::Description& description();
  uint64_t loaded_ns = 0;  // how long loading took
};

struct Go {
  static const vmstate::Description& description();
  bool owner = true;  // always: the guest belongs to the destination from now on
};

struct Ready {
  static const vmstate::Description& description();
  uint64_t prepared_ns = 0;  // how long PREPARE took on the destination
};

struct State {
  bool run = false;            // the guest was running
  uint64_t stop_asked_ns = 0;  // CLOCK_MONOTONIC: the pause begins
  std::vector<SectionData> sections;
  static const vmstate::Description& description();
};

// CLOCK_MONOTONIC of the steps on the destination; both processes share the clock.
struct Running {
  uint64_t received_ns = 0;
  uint64_t loaded_ns = 0;
  uint64_t owned_ns = 0;
  uint64_t running_ns = 0;
  static const vmstate::Description& description();
};

struct Refused {
  // As much of it as a receiver takes.
  static Refused because(const std::string& reason);
  std::string reason;
  static const vmstate::Description& description();
};

}  // namespace pagurus::wire
