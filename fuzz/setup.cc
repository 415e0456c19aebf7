// What every fuzzer does once, under our driver as under libFuzzer.
#include <signal.h>
#include <sys/resource.h>

#include "base/log.h"
#include "fuzz/target.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  // Misbehaviour is what a fuzzer is for: it need not be reported.
  pagurus::set_log_level(pagurus::LogLevel::kError);
  ::signal(SIGPIPE, SIG_IGN);
  // So that descriptors that leak end the run.
  rlimit descriptors{.rlim_cur = 256, .rlim_max = 256};
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
  return 0;
}
