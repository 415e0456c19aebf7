// What a fuzzer consists of: a function that takes any bytes and survives, and seeds to start from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace pagurus::fuzz {

using Bytes = std::vector<uint8_t>;

// Valid inputs, made by the code that would make them in earnest.
std::vector<Bytes> seeds();

inline Bytes bytes_of(std::string_view text) { return Bytes(text.begin(), text.end()); }

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
