// The kernel's KVM interface, and the only place that includes <linux/kvm.h>.
//
// The kernel headers of Linux 6.1 declare flexible arrays in a way that adds a byte to a structure
// in C++; the size is part of an ioctl's number, so KVM_GET_MSRS and others would be wrong.  The
// macro is replaced before the header is read, and the numbers are asserted.  What those headers
// are too old for is defined here with the kernel's numbers.
#pragma once

#include <linux/stddef.h>
#undef __DECLARE_FLEX_ARRAY
#define __DECLARE_FLEX_ARRAY(TYPE, NAME) __extension__ TYPE NAME[0]
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstdint>

#include "base/result.h"

#ifndef KVM_CAP_PRE_FAULT_MEMORY  // Linux 6.11
#define KVM_CAP_PRE_FAULT_MEMORY 236
#endif
#ifndef KVM_PRE_FAULT_MEMORY
struct kvm_pre_fault_memory {
  __u64 gpa;
  __u64 size;
  __u64 flags;
  __u64 padding[5];
};
#define KVM_PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#endif

namespace pagurus::kvm {

static_assert(KVM_GET_MSRS == 0xc008ae88);
static_assert(KVM_SET_MSRS == 0x4008ae89);
static_assert(KVM_GET_MSR_INDEX_LIST == 0xc004ae02);
static_assert(KVM_GET_SUPPORTED_CPUID == 0xc008ae05);
static_assert(KVM_SET_CPUID2 == 0x4008ae90);
static_assert(KVM_SET_XSAVE == 0x5000aea5);
static_assert(KVM_GET_XSAVE2 == 0x9000aecf);
static_assert(KVM_PRE_FAULT_MEMORY == 0xc040aed5);
static_assert(sizeof(kvm_msr_entry) == 16 && sizeof(kvm_cpuid_entry2) == 40);
static_assert(sizeof(kvm_xsave) == 4096);

// An ioctl whose failure is an error of the host.  An interrupted one is repeated: these are never
// KVM_RUN.
template <class Arg>
Result<int> call(int fd, unsigned long request, const char* name, Arg arg) {
  for (;;) {
    int result = ::ioctl(fd, request, arg);
    if (result >= 0) return result;
    if (errno != EINTR) return fail_errno(errno, "KVM refused {}", name);
  }
}

}  // namespace pagurus::kvm

// `TRY_KVM(fd, KVM_GET_REGS, &regs)`: the ioctl's result, or return an error that names it.
#define TRY_KVM(fd, request, arg) TRY(::pagurus::kvm::call(fd, request, #request, arg))
