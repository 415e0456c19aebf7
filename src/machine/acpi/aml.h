// A small encoder for AML, the byte code of ACPI's DSDT (ACPI 6.5, chapter 20), and for resource
// descriptors (6.4).  Every function returns the bytes of one term; terms are concatenated.
//
//   device("COM1", {name("_HID", eisa_id("PNP0501")), name("_CRS", resources({io_ports(0x3f8, 8)}))})
//
// Names are ours, so a malformed one is a bug: CHECK.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

namespace pagurus::machine::aml {

using Bytes = std::vector<uint8_t>;
using Terms = std::initializer_list<Bytes>;

Bytes concatenate(Terms terms);

// Data.
Bytes integer(uint64_t value);
Bytes string(std::string_view text);
Bytes eisa_id(std::string_view id);  // "PNP0A08"
Bytes package(Terms elements);

// Named objects.  path: segments of one to four characters, separated by dots, "\" in front for the
// root: "_HID", "\\_SB".
Bytes name(std::string_view path, const Bytes& value);
Bytes scope(std::string_view path, Terms terms);
Bytes device(std::string_view path, Terms terms);
// Serialized.  arguments: 0..7.
Bytes method(std::string_view path, unsigned arguments, Terms terms);
// Registers of 32 bits each, from I/O port `base` on: `path` names the region, `registers` its fields.
Bytes port_registers(std::string_view path, uint16_t base, std::initializer_list<std::string_view> registers);

// Code.
Bytes argument(unsigned index);  // 0..6
Bytes if_equal(const Bytes& left, const Bytes& right, Terms then);
// If any bit of `mask` is set in `value`.
Bytes if_any_bit(const Bytes& value, const Bytes& mask, Terms then);
Bytes store(const Bytes& value, std::string_view to);
// The value of an object, or of a method that is called with the arguments.
Bytes value_of(std::string_view path, Terms arguments = {});
Bytes notify(std::string_view path, const Bytes& event);

// Resource descriptors; `resources` makes the buffer that _CRS wants of them.
Bytes resources(Terms descriptors);
Bytes io_ports(uint16_t base, uint8_t count);
Bytes edge_interrupt(uint32_t gsi);  // active high, exclusive
Bytes fixed_memory(uint32_t base, uint32_t size);
// Windows of a host bridge: what it passes on.
Bytes bus_window(uint8_t first, uint8_t last);
Bytes memory_window(uint32_t base, uint32_t size);

}  // namespace pagurus::machine::aml
