// The DSDT: the devices that nothing else announces.
#pragma once

#include "machine/acpi/aml.h"

namespace pagurus::machine {

// The byte code after the table's header.
aml::Bytes dsdt_code();

}  // namespace pagurus::machine
