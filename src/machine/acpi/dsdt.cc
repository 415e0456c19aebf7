#include "machine/acpi/dsdt.h"

#include "device/power/power_control.h"
#include "machine/layout.h"

namespace pagurus::machine {
namespace {

using namespace aml;

Bytes host_bridge() {
  return device("PCI0", {
                            name("_HID", eisa_id("PNP0A08")),
                            name("_CID", eisa_id("PNP0A03")),
                            name("_UID", integer(0)),
                            name("_SEG", integer(0)),
                            name("_BBN", integer(0)),
                            name("_CRS", resources({
                                             bus_window(0, layout::kPciBuses - 1),
                                             io_ports(layout::kPciConfigPorts.base, layout::kPciConfigPorts.size),
                                             memory_window(layout::kPciMemory.base, layout::kPciMemory.size),
                                         })),
                        });
}

// Linux uses ECAM only where a motherboard device (or the memory map) reserves it: PCI firmware
// specification 3.3, 4.1.2.
Bytes motherboard() {
  return device("MBRD", {
                            name("_HID", eisa_id("PNP0C02")),
                            name("_UID", integer(0)),
                            name("_CRS", resources({
                                             fixed_memory(layout::kEcam.base, layout::kEcam.size),
                                             io_ports(layout::kPowerPorts.base, layout::kPowerPorts.size),
                                         })),
                        });
}

Bytes serial_port() {
  return device("COM1", {
                            name("_HID", eisa_id("PNP0501")),
                            name("_UID", integer(1)),
                            name("_CRS", resources({
                                             io_ports(layout::kSerialPorts.base, layout::kSerialPorts.size),
                                             edge_interrupt(layout::kSerialGsi),
                                         })),
                        });
}

Bytes power_button() {
  return device("PWRB", {
                            name("_HID", eisa_id("PNP0C0C")),
                            name("_UID", integer(0)),
                        });
}

// ACPI 6.5, 5.6.9: hardware-reduced machines have no SCI; a GED turns an interrupt into Notify.
Bytes event_device() {
  constexpr uint8_t kButtonPressed = 0x80;
  return device(
      "GED0",
      {
          name("_HID", string("ACPI0013")),
          name("_UID", integer(0)),
          name("_CRS", resources({edge_interrupt(layout::kGedGsi)})),
          method("_EVT", 1, {if_equal(argument(0), integer(layout::kGedGsi), {notify("\\_SB.PWRB", kButtonPressed)})}),
      });
}

}  // namespace

Bytes dsdt_code() {
  constexpr auto kS5 = device::PowerControl::kSleepTypeS5;
  return concatenate({
      scope("\\_SB", {host_bridge(), motherboard(), serial_port(), power_button(), event_device()}),
      name("\\_S5", package({integer(kS5), integer(kS5), integer(0), integer(0)})),
  });
}

}  // namespace pagurus::machine
