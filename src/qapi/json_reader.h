// JsonReader: a stream of JSON values, fed in pieces as they arrive.
//
// Bytes come from strangers, so size and depth are limited, duplicate keys are refused, and an error
// never ends the stream: after one, everything up to the next newline or 0xFF byte is dropped and
// reading goes on.  A 0xFF byte (never part of UTF-8) is also the way for a client to get rid of a
// half-sent value; QMP's specification names it for that.
//
// Threads: none of its own; one owner.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "qapi/json.h"

namespace pagurus::qapi {

class JsonReader {
 public:
  struct Limits {
    size_t max_bytes = 256 * 1024;  // of one value, blanks inside it included
    size_t max_depth = 64;
  };

  JsonReader();
  explicit JsonReader(Limits limits);
  ~JsonReader();
  JsonReader(JsonReader&&) noexcept;
  JsonReader& operator=(JsonReader&&) noexcept;

  void feed(std::string_view bytes) { input_ += bytes; }
  // The next complete value, or what is wrong with it ("JSON parse error, ..."); nullopt if more
  // bytes are needed.
  std::optional<Result<Json>> next();
  // Nothing but blanks has been fed since the last value.
  bool idle() const;

 private:
  class Handler;
  struct Parser;

  void drop_broken_line();
  std::unexpected<Error> give_up(const std::string& why);

  Limits limits_;
  std::unique_ptr<Parser> parser_;
  std::string input_;       // not parsed yet
  size_t value_bytes_ = 0;  // of the value in progress
  bool dropping_ = false;   // after an error, until the end of the line
};

// Exactly one value, as of a command line or a file.
Result<Json> parse_json(std::string_view text);

}  // namespace pagurus::qapi
