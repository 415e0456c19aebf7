// Takes from a program what fills page tables before they are needed, by LD_PRELOAD: the same program can be measured
// with and without.  Both calls are ones that may fail or do nothing on some kernels.
#include <dlfcn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdarg>

#include "kvm/kvm_api.h"

namespace {

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" int madvise(void* begin, size_t bytes, int advice) noexcept {
  static const auto real = next<int(void*, size_t, int)>("madvise");
  return advice == MADV_POPULATE_WRITE ? 0 : real(begin, bytes, advice);
}

extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
  static const auto real = next<int(int, unsigned long, void*)>("ioctl");
  va_list more;
  va_start(more, request);
  void* argument = va_arg(more, void*);
  va_end(more);
  if (request == KVM_PRE_FAULT_MEMORY) {
    errno = ENOTTY;
    return -1;
  }
  return real(fd, request, argument);
}
