#include "machine/acpi/dsdt.h"

#include "device/pci_hotplug/pci_hotplug.h"
#include "device/power/power_control.h"
#include "machine/layout.h"
#include "pci/bus.h"

namespace pagurus::machine {
namespace {

using namespace aml;

// Device check and ejection request (ACPI 6.5, 5.6.6).
constexpr unsigned kDeviceCheck = 1;
constexpr unsigned kEjectRequest = 3;

std::string slot_name(unsigned slot) { return fmt::format("S{:02X}", slot); }

// An object for each slot, which makes it one for devices that come and go, and two methods: PCNT looks for
// news in the registers, DVNT (slots, event) notifies the slots.
Bytes hotplug_slots() {
  using Hotplug = device::PciHotplug;
  static_assert(Hotplug::kUpRegister == 0 && Hotplug::kDownRegister == 4 && Hotplug::kEjectRegister == 8);
  Bytes slots = port_registers("PHPR", layout::kPciHotplugPorts.base, {"PCIU", "PCID", "PCIE"});
  Bytes notices;
  for (unsigned slot = 1; slot < pci::kSlots; ++slot) {
    Bytes bit = integer(uint64_t{1} << slot);
    Bytes device_object = device(slot_name(slot), {
                                                      name("_ADR", integer(slot << 16)),
                                                      name("_SUN", integer(slot)),
                                                      method("_EJ0", 1, {store(bit, "PCIE")}),
                                                  });
    slots = concatenate({slots, device_object});
    notices = concatenate({notices, if_any_bit(argument(0), bit, {notify(slot_name(slot), argument(1))})});
  }
  return concatenate({
      slots,
      method("DVNT", 2, {notices}),
      method("PCNT", 0,
             {
                 value_of("DVNT", {value_of("PCIU"), integer(kDeviceCheck)}),
                 value_of("DVNT", {value_of("PCID"), integer(kEjectRequest)}),
             }),
  });
}

Bytes host_bridge(SlotHotplug hotplug) {
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
                            hotplug == SlotHotplug::kYes ? hotplug_slots() : Bytes(),
                        });
}

// Linux uses ECAM only where a motherboard device (or the memory map) reserves it: PCI firmware
// specification 3.3, 4.1.2.
Bytes motherboard(SlotHotplug hotplug) {
  Bytes hotplug_ports;
  if (hotplug == SlotHotplug::kYes)
    hotplug_ports = io_ports(layout::kPciHotplugPorts.base, layout::kPciHotplugPorts.size);
  return device("MBRD", {
                            name("_HID", eisa_id("PNP0C02")),
                            name("_UID", integer(0)),
                            name("_CRS", resources({
                                             fixed_memory(layout::kEcam.base, layout::kEcam.size),
                                             io_ports(layout::kPowerPorts.base, layout::kPowerPorts.size),
                                             hotplug_ports,
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
Bytes event_device(SlotHotplug hotplug) {
  constexpr unsigned kButtonPressed = 0x80;
  Bytes interrupts = edge_interrupt(layout::kGedGsi);
  Bytes events = if_equal(argument(0), integer(layout::kGedGsi), {notify("\\_SB.PWRB", integer(kButtonPressed))});
  if (hotplug == SlotHotplug::kYes) {
    interrupts = concatenate({interrupts, edge_interrupt(layout::kPciHotplugGsi)});
    events =
        concatenate({events, if_equal(argument(0), integer(layout::kPciHotplugGsi), {value_of("\\_SB.PCI0.PCNT")})});
  }
  return device("GED0", {
                            name("_HID", string("ACPI0013")),
                            name("_UID", integer(0)),
                            name("_CRS", resources({interrupts})),
                            method("_EVT", 1, {events}),
                        });
}

}  // namespace

Bytes dsdt_code(SlotHotplug hotplug) {
  constexpr auto kS5 = device::PowerControl::kSleepTypeS5;
  return concatenate({
      scope("\\_SB",
            {host_bridge(hotplug), motherboard(hotplug), serial_port(), power_button(), event_device(hotplug)}),
      name("\\_S5", package({integer(kS5), integer(kS5), integer(0), integer(0)})),
  });
}

}  // namespace pagurus::machine
