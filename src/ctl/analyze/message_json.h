// Messages of a migration as JSON.  What is in the sections of a message, HELLO has said before: it is
// remembered.
//
// Everything here is a stranger's; see state_decoder.h for what bounds it.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "ctl/analyze/frame_reader.h"
#include "ctl/analyze/state_decoder.h"
#include "qapi/json.h"

namespace pagurus::ctl {

class MessageAnalyzer {
 public:
  enum class RamRuns { kCount, kList };
  explicit MessageAnalyzer(RamRuns ram_runs) : ram_runs_(ram_runs) {}

  // Header and, of a message that is known, body.
  qapi::Json analyze(const Frame& frame);

 private:
  qapi::Json body(const Frame& frame, const std::vector<std::string>& files);
  qapi::Json sections(StateDecoder& decoder, const StateType& list, const std::vector<std::string>& files,
                      uint64_t& values_left);
  void add_state(qapi::Json& section, std::span<const uint8_t> bytes, const std::vector<std::string>& files,
                 uint64_t& values_left) const;
  void remember_signatures(const qapi::Json& hello);

  RamRuns ram_runs_;
  std::map<std::string, std::string> signatures_;  // by section
};

}  // namespace pagurus::ctl
