// The points of a migration that a tracer can watch: static probes (USDT) of the provider "pagurus", listed
// in docs/handover.md.  One that nobody watches is a single instruction that does nothing.
#pragma once

#include <sys/sdt.h>

#define MIGRATION_PROBE(name) DTRACE_PROBE(pagurus, name)
