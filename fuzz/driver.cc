// The driver of every fuzzer: mutates seeds that the real code made and feeds them to the target,
// under the sanitizers the build was configured with.
//
//   NAME [--seconds N] [--runs N] [--seed N]   mutate for that long (default 3 s) or that often; without
//                                              --seed with another one each time, which is printed
//   NAME FILE...                               replay inputs
//   NAME --write-seeds DIRECTORY               for another driver to start from
//
// The input in hand is kept in a file while it runs, and its path is printed by whatever ends the
// process: a sanitizer, its limits of memory, a CHECK, or the alarm after kMaxInputSeconds.  Leaks are
// found at the end of the run: --seed and --runs lead to the input.
//
// A build with libFuzzer (see README.md) leaves this file out.
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
#include <optional>
#include <random>
#include <string>

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

int usage() {
  std::fprintf(stderr, "usage: fuzz_NAME [--seconds N] [--runs N] [--seed N] | FILE... | --write-seeds DIRECTORY\n");
  return 2;
}

int replay(char** files) {
  for (; *files != nullptr; ++files) {
    std::ifstream file(*files, std::ios::binary);
    if (!file) return usage();
    run_one(Bytes(std::istreambuf_iterator<char>(file), {}));
  }
  return 0;
}

int write_seeds(const std::string& directory) {
  unsigned number = 0;
  for (const Bytes& input : seeds()) {
    std::ofstream file(directory + "/seed-" + std::to_string(number++), std::ios::binary);
    file.write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
    if (!file) return 1;
  }
  return 0;
}

int fuzz(double seconds, uint64_t most_runs, uint64_t seed) {
  std::printf("--seed %llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  std::mt19937_64 random(seed);
  std::vector<Bytes> inputs = seeds();
  for (const Bytes& input : inputs) {
    write_current(input);
    run_one(input);
  }
  auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  uint64_t runs = 0;
  for (; runs < most_runs && std::chrono::steady_clock::now() < end; ++runs) {
    Bytes input = mutate(random, inputs);
    write_current(input);
    run_one(input);
  }
  std::printf("%llu inputs from %zu seeds: nothing found\n", static_cast<unsigned long long>(runs), inputs.size());
  ::unlink(current_path);
  return 0;
}

}  // namespace
}  // namespace pagurus::fuzz

// Sanitizers end the process without a signal unless told otherwise.  Nothing a stranger sends may
// make us take much memory: the largest target maps 64 MiB of guest RAM.
extern "C" const char* __asan_default_options() {
  return "abort_on_error=1:detect_leaks=1:max_allocation_size_mb=512:hard_rss_limit_mb=2048";
}
extern "C" const char* __ubsan_default_options() { return "abort_on_error=1:print_stacktrace=1"; }

int main(int argc, char** argv) {
  using namespace pagurus::fuzz;
  std::snprintf(current_path, sizeof current_path, "/tmp/pagurus-fuzz-%d", ::getpid());
  for (int number : {SIGABRT, SIGSEGV, SIGBUS, SIGALRM}) ::signal(number, on_death);
  LLVMFuzzerInitialize(&argc, &argv);
  std::optional<double> seconds;
  uint64_t runs = UINT64_MAX;
  uint64_t seed = std::random_device{}();
  int at = 1;
  for (; at + 1 < argc && std::strncmp(argv[at], "--", 2) == 0; at += 2) {
    if (std::strcmp(argv[at], "--seconds") == 0)
      seconds = std::atof(argv[at + 1]);
    else if (std::strcmp(argv[at], "--runs") == 0)
      runs = std::strtoull(argv[at + 1], nullptr, 10);
    else if (std::strcmp(argv[at], "--seed") == 0)
      seed = std::strtoull(argv[at + 1], nullptr, 10);
    else if (std::strcmp(argv[at], "--write-seeds") == 0)
      return write_seeds(argv[at + 1]);
    else
      return usage();
  }
  return at < argc ? replay(argv + at) : fuzz(seconds.value_or(runs == UINT64_MAX ? 3 : 1e9), runs, seed);
}
