// The messages of a hand-over, declared like device state (docs/handover.md draws their exchange).
//
//   source                       destination
//   HELLO         ─────────────▶              manifests: what is the guest, what will move
//                 ◀───────────── WELCOME      equal enough; or REFUSED with a sentence
//   PREPARE       ─────────────▶              RAM, ownership word, rehearsal of device state
//                 ◀───────────── READY        or REFUSED
//   STATE         ─────────────▶              the pause: every section, every descriptor
//                 ◀───────────── RUNNING      or REFUSED
// REFUSED may come from either side at any time and ends the hand-over.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmstate/description.h"

namespace pagurus::migration {

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
};

struct FactEntry {
  std::string name;
  std::string value;
  static const vmstate::Description& description();
};

struct SectionEntry {
  std::string name;
  std::string signature;
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
  static const vmstate::Description& description();
};

struct SectionData {
  std::string name;
  uint16_t version = 0;
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
  std::string reason;
  static const vmstate::Description& description();
};

}  // namespace pagurus::migration
