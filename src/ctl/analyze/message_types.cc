#include "ctl/analyze/message_types.h"

namespace pagurus::ctl {

const vmstate::Description* declared(wire::MessageType type) {
  using enum wire::MessageType;
  switch (type) {
    case kHello: return &wire::Hello::description();
    case kWelcome: return &wire::Welcome::description();
    case kPrepare: return &wire::Prepare::description();
    case kReady: return &wire::Ready::description();
    case kState: return &wire::State::description();
    case kRunning: return &wire::Running::description();
    case kRefused: return &wire::Refused::description();
    case kPrepareCopy: return &wire::PrepareCopy::description();
    case kRam: return &wire::Ram::description();
    case kLoaded: return &wire::Loaded::description();
    case kGo: return &wire::Go::description();
  }
  return nullptr;
}

}  // namespace pagurus::ctl
