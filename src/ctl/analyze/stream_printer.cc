#include "ctl/analyze/stream_printer.h"

#include <cstdio>

namespace pagurus::ctl {
namespace {

constexpr std::string_view kIndent = "    ";

void put(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

}  // namespace

void StreamPrinter::print(const Frame& frame) {
  put(begun_ ? ",\n" : "{\n  \"messages\": [\n");
  begun_ = true;
  if (!frame.known || frame.header.type == wire::MessageType::kState) whole_ = true;
  std::string text = analyzer_.analyze(frame).pretty_text();
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    put(kIndent);
    put(std::string_view(text).substr(at, end - at));
    at = end;
  }
  std::fflush(stdout);
}

void StreamPrinter::end(const std::string& how) {
  if (!begun_) put("{\n  \"messages\": [");
  begun_ = true;
  put(fmt::format("\n  ],\n  \"end\": {}\n}}\n", qapi::Json(how).text()));
  std::fflush(stdout);
}

Result<void> print_stream(FrameReader& reader, StreamPrinter& printer) {
  while (true) {
    auto frame = reader.next();
    if (!frame) {
      if (printer.begun()) printer.end(fmt::format("broken off at {}: {}", reader.offset(), frame.error().message()));
      return std::unexpected(std::move(frame.error()));
    }
    if (!*frame) break;
    printer.print(**frame);
  }
  if (reader.offset() == 0) return fail("there is nothing in it");
  bool complete = !reader.truncated() && printer.whole();
  printer.end(complete ? "complete" : fmt::format("truncated at {}", reader.offset()));
  return {};
}

}  // namespace pagurus::ctl
