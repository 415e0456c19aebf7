// The JSON of a whole stream on standard output, message by message as they come, so that its length does
// not matter.
//
//   {"messages": [{...}, ...], "end": "complete"}
//
// Threads: one.
#pragma once

#include <string>

#include "ctl/analyze/frame_reader.h"
#include "ctl/analyze/message_json.h"

namespace pagurus::ctl {

class StreamPrinter {
 public:
  explicit StreamPrinter(MessageAnalyzer::RamRuns ram_runs) : analyzer_(ram_runs) {}

  void print(const Frame& frame);
  // Every message has been printed.  how: "complete", or what is missing.
  void end(const std::string& how);
  bool begun() const { return begun_; }
  // There is a STATE, or what this version cannot judge.
  bool whole() const { return whole_; }

 private:
  MessageAnalyzer analyzer_;
  bool begun_ = false;
  bool whole_ = false;
};

// Prints all that is there.  Fails if it begins with no message (then nothing is printed), or turns into
// something else.
Result<void> print_stream(FrameReader& reader, StreamPrinter& printer);

}  // namespace pagurus::ctl
