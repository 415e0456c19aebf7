// The signal that gets a thread out of KVM_RUN.
#pragma once

#include <csignal>

namespace pagurus::kvm {

// A real-time signal, because libraries and debuggers use the others.
inline int kick_signal() { return SIGRTMIN; }

}  // namespace pagurus::kvm
