// The driver of every fuzzer: mutates seeds that the real code made and feeds them to the target,
// under the sanitizers the build was configured with.
//
//   NAME [--seconds N] [--seed N]     mutate for that long (default 3 s, a new seed each time)
//   NAME FILE...                      replay inputs
//
// The input in hand is kept in a file while it runs, and its path is printed by whatever ends the
// process: a sanitizer, a CHECK, or the alarm that ends an input after kMaxInputSeconds.
//
// With a compiler that has libFuzzer, leave this file out: LLVMFuzzerTestOneInput is its interface.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>

#include "fuzz/target.h"

namespace pagurus::fuzz {
namespace {

constexpr unsigned kMaxInputSeconds = 10;
char current_path[64];

void write_current(const Bytes& input) {
  int fd = ::open(current_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  (void)!::write(fd, input.data(), input.size());
  ::close(fd);
}

// Only what a signal handler may call.
void on_death(int number) {
  constexpr char kText[] = "\nfuzz: this input ended it: ";
  (void)!::write(STDERR_FILENO, kText, sizeof kText - 1);
  (void)!::write(STDERR_FILENO, current_path, std::strlen(current_path));
  (void)!::write(STDERR_FILENO, "\n", 1);
  ::signal(number, SIG_DFL);
  ::raise(number);
}

Bytes mutate(std::mt19937_64& random, const std::vector<Bytes>& seeds) {
  auto below = [&random](size_t limit) { return limit == 0 ? 0 : random() % limit; };
  Bytes input = seeds[below(seeds.size())];
  for (size_t times = 1 + below(6); times > 0; --times) {
    size_t at = below(input.size() + 1);
    switch (below(7)) {
      case 0:  // a bit
        if (at < input.size()) input[at] ^= static_cast<uint8_t>(1u << below(8));
        break;
      case 1:  // a byte that is often wrong
        if (at < input.size()) input[at] = std::array<uint8_t, 5>{0, 1, 0x7f, 0x80, 0xff}[below(5)];
        break;
      case 2:  // a number in the middle of something
        for (size_t i = 0; i < 4 && at + i < input.size(); ++i) input[at + i] = static_cast<uint8_t>(random());
        break;
      case 3: input.resize(at); break;
      case 4:
        input.insert(input.begin() + static_cast<ptrdiff_t>(at), below(16), static_cast<uint8_t>(random()));
        break;
      case 5: {  // the end of another seed
        const Bytes& other = seeds[below(seeds.size())];
        input.resize(at);
        input.insert(input.end(), other.begin() + static_cast<ptrdiff_t>(below(other.size() + 1)), other.end());
        break;
      }
      default:  // a piece of its own, again
        if (at < input.size()) {
          Bytes piece(input.begin() + static_cast<ptrdiff_t>(at), input.end());
          piece.resize(std::min<size_t>(piece.size(), 64));
          input.insert(input.end(), piece.begin(), piece.end());
        }
    }
  }
  return input;
}

void run_one(const Bytes& input) {
  ::alarm(kMaxInputSeconds);
  LLVMFuzzerTestOneInput(input.data(), input.size());
  ::alarm(0);
}

int replay(char** files) {
  for (; *files != nullptr; ++files) {
    std::ifstream file(*files, std::ios::binary);
    run_one(Bytes(std::istreambuf_iterator<char>(file), {}));
  }
  return 0;
}

int fuzz(double seconds, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Bytes> inputs = seeds();
  for (const Bytes& input : inputs) {
    write_current(input);
    run_one(input);
  }
  auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  uint64_t runs = 0;
  for (; std::chrono::steady_clock::now() < end; ++runs) {
    Bytes input = mutate(random, inputs);
    write_current(input);
    run_one(input);
  }
  std::printf("%llu inputs from %zu seeds, --seed %llu: nothing found\n", static_cast<unsigned long long>(runs),
              inputs.size(), static_cast<unsigned long long>(seed));
  ::unlink(current_path);
  return 0;
}

}  // namespace
}  // namespace pagurus::fuzz

// Sanitizers end the process without a signal unless told otherwise.
extern "C" const char* __asan_default_options() { return "abort_on_error=1:detect_leaks=1"; }
extern "C" const char* __ubsan_default_options() { return "abort_on_error=1:print_stacktrace=1"; }

int main(int argc, char** argv) {
  using namespace pagurus::fuzz;
  std::snprintf(current_path, sizeof current_path, "/tmp/pagurus-fuzz-%d", ::getpid());
  for (int number : {SIGABRT, SIGSEGV, SIGBUS, SIGALRM}) ::signal(number, on_death);
  LLVMFuzzerInitialize(&argc, &argv);
  double seconds = 3;
  uint64_t seed = std::random_device{}();
  int at = 1;
  for (; at + 1 < argc && std::strncmp(argv[at], "--", 2) == 0; at += 2) {
    if (std::strcmp(argv[at], "--seconds") == 0) seconds = std::atof(argv[at + 1]);
    if (std::strcmp(argv[at], "--seed") == 0) seed = std::strtoull(argv[at + 1], nullptr, 10);
  }
  return at < argc ? replay(argv + at) : fuzz(seconds, seed);
}
