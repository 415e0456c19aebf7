// What can be saved and loaded: a Section for a device's own state, a Movable for a host resource.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "vmstate/description.h"
#include "vmstate/stream.h"

namespace pagurus::vmstate {

// The state of one device (or of a part of it).
//
// Threads: called on the control thread.  save() is also called while the guest runs, for the
// rehearsal before the pause, so an implementation takes its device's lock.  load() may be called
// more than once (rehearsal, then the real state) and must then only do what differs.  The version of the
// state is the writer's and the reader's.  A load that
// fails leaves the device unusable but destroyable.
class Section {
 public:
  virtual ~Section() = default;
  virtual const Description& description() const = 0;
  virtual void save(Writer& writer) const = 0;
  virtual Result<void> load(Reader& reader) = 0;
};

// A host resource that can be handed to another process.
//
// States, per process:
//
//   source:       in use ──freeze()──▶ frozen ──save()──▶ frozen ──┬── thaw(): roll-back, in use
//                                                                 └── release(): the other has it
//   destination:  pending ──adopt()──▶ frozen ──┬── thaw(): after the commit, in use
//                                               └── destroyed: the source still has it, unharmed
//
// What the destination needs before the pause, so that little is left to do in it, travels as early state
// while the source is in use: save_early() lends it, adopt_early() takes it in the pending resource.  It
// promises nothing: the source may change its mind, and both sides must do without it.
//
// Contract of adopt(): take the resource over *without changing the object behind it*, because the
// source may still need it: no ioctl that sets, no change of O_NONBLOCK, no detach.
//
// Threads: called on the control thread.
class Movable {
 public:
  virtual ~Movable() = default;
  // Neither opened nor adopted yet: this process was started for an incoming guest.
  virtual bool pending() const = 0;
  // Name, version and fields of the state; an error that says why, if this resource cannot move in
  // its present configuration.
  virtual Result<const Description*> movable() const = 0;
  // Another process cannot make it anew: what uses it leaves together with it, or not at all.
  virtual bool inseparable() const { return false; }
  // Stop touching the shared kernel objects; keep them open.
  virtual void freeze() = 0;
  // Writes fields and lends descriptors.  Only while frozen.
  virtual Result<void> save(Writer& writer) const = 0;
  // Only in a pending resource.  After a failure it is pending again.
  virtual Result<void> adopt(Reader& reader) = 0;
  // The declaration of the early state; nullptr: there is none.
  virtual const Description* early() const { return nullptr; }
  virtual void save_early(Writer&) {}
  virtual Result<void> adopt_early(Reader&) { return {}; }
  virtual void thaw() = 0;
  // The other process owns the resource now: give up everything that would touch it (and do not
  // run its "down" script, do not unlink its path).
  virtual void release() = 0;
};

}  // namespace pagurus::vmstate
