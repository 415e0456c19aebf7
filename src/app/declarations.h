// Everything that is declared: each state that a section of a hand-over may hold, and the messages.
// -dump-vmstate prints it, and the tests of declarations walk through it.
#pragma once

#include "chardev/null_backend.h"
#include "chardev/socket_backend.h"
#include "chardev/stream_backend.h"
#include "device/pci_hotplug/pci_hotplug.h"
#include "device/power/power_control.h"
#include "device/serial/uart_state.h"
#include "device/virtio_net/state.h"
#include "kvm/vcpu_state.h"
#include "kvm/vm_state.h"
#include "machine/machine_state.h"
#include "monitor/listener_state.h"
#include "net/dgram.h"
#include "net/stream_state.h"
#include "net/tap_state.h"
#include "net/vhost_net_state.h"
#include "net/vhost_user/state.h"
#include "pci/bus.h"
#include "pci/function.h"
#include "virtio/transport_state.h"
#include "wire/messages.h"
#ifdef PAGURUS_VARIANT
#include "machine/variant.h"
#endif

namespace pagurus::app {

template <class... States>
struct Declared {};

using DeclaredSections =
    Declared<machine::MachineState, kvm::VcpuStates, kvm::VmState, pci::PciBusState, device::UartState,
             device::PowerState, device::PciHotplugState, pci::PciFunctionState, virtio::TransportState,
             device::VirtioNetState, net::TapState, net::TapQueuesState, net::StreamState, net::DgramState,
             net::VhostNetEarlyState, net::VhostUserState, net::VhostUserEarlyState, chardev::NullState,
             chardev::StreamState, chardev::SocketState, monitor::ListenerState
#ifdef PAGURUS_VARIANT
             ,
             machine::VariantNote
#endif
             >;

using DeclaredMessages = Declared<wire::Hello, wire::Welcome, wire::Prepare, wire::PrepareCopy, wire::Ready, wire::Ram,
                                  wire::State, wire::Loaded, wire::Go, wire::Running, wire::Refused>;

}  // namespace pagurus::app
