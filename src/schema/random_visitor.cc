#include "schema/random_visitor.h"

#include <cmath>

namespace pagurus::schema {
namespace {

// Deeper, a value has neither optional members nor list elements, so that types which contain themselves
// come to an end.
constexpr size_t kMaxDepth = 4;

}  // namespace

void RandomVisitor::note_member() {
  if (!members_.empty()) ++members_.back();
}

Result<void> RandomVisitor::start_object(std::string_view) {
  note_member();
  ++depth_;
  members_.push_back(0);
  return {};
}

Result<void> RandomVisitor::end_object() {
  --depth_;
  if (members_.back() == 0 && members_.size() > 1) fits_keyval_ = false;
  members_.pop_back();
  return {};
}

Result<size_t> RandomVisitor::start_list(std::string_view, size_t) {
  note_member();
  size_t size = depth_ < kMaxDepth ? below(4) : 0;
  if (purpose_ == For::kKeyval && size == 0) size = 1;
  if (depth_ > 2 * kMaxDepth) return fail("a list that must not be empty contains itself");
  ++depth_;
  return size;
}

Result<void> RandomVisitor::end_list() {
  --depth_;
  return {};
}

Result<bool> RandomVisitor::present(std::string_view, bool) { return depth_ < kMaxDepth && below(2) == 0; }

Result<size_t> RandomVisitor::choose(std::string_view, std::span<const qapi::Alternative> alternatives, size_t) {
  using Kind = qapi::Alternative::Kind;
  // A text may mean a number, a word or just itself, so that only lists and objects come back as they were.
  auto certain = [](Kind kind) { return kind == Kind::kList || kind == Kind::kObject; };
  size_t chosen = below(alternatives.size());
  // Deep down, the first scalar ends what contains itself.
  for (size_t i = 0; depth_ >= kMaxDepth && certain(alternatives[chosen].kind) && i < alternatives.size(); ++i)
    chosen = i;
  if (!certain(alternatives[chosen].kind) && alternatives.size() > 1) fits_keyval_ = false;
  return chosen;
}

Result<void> RandomVisitor::boolean(std::string_view, bool& value) {
  note_member();
  value = below(2) == 0;
  return {};
}

Result<void> RandomVisitor::integer(std::string_view, int64_t& value, int64_t min, int64_t max) {
  note_member();
  auto span = static_cast<uint64_t>(max) - static_cast<uint64_t>(min);
  uint64_t offset = span == UINT64_MAX ? wide() : wide() % (span + 1);
  if (below(4) == 0) offset = below(2) == 0 ? 0 : span;
  value = static_cast<int64_t>(static_cast<uint64_t>(min) + offset);
  return {};
}

Result<void> RandomVisitor::natural(std::string_view, uint64_t& value, uint64_t max) {
  note_member();
  value = max == UINT64_MAX ? wide() : wide() % (max + 1);
  if (below(4) == 0) value = below(2) == 0 ? 0 : max;
  return {};
}

Result<void> RandomVisitor::size(std::string_view name, uint64_t& bytes) { return natural(name, bytes, UINT64_MAX); }

Result<void> RandomVisitor::number(std::string_view, double& value) {
  note_member();
  value = std::ldexp(static_cast<double>(static_cast<int32_t>(random_())), static_cast<int>(below(200)) - 100);
  return {};
}

Result<void> RandomVisitor::string(std::string_view, std::string& value) {
  note_member();
  // What text formats trip over, and a letter of more than one byte.
  constexpr std::string_view kPieces[] = {"a", "B", "0", ",", "=", ".", "{", "\"", "\\", "\n", " ", "\u00e4", "on"};
  value.clear();
  for (size_t i = below(6); i > 0; --i) value += kPieces[below(std::size(kPieces))];
  return {};
}

Result<void> RandomVisitor::enumeration(std::string_view name, size_t& index, qapi::Names names) {
  note_member();
  if (names.empty()) return fail("'{}' has no values", name);
  index = below(names.size());
  return {};
}

Result<void> RandomVisitor::null(std::string_view) {
  note_member();
  fits_keyval_ = false;
  return {};
}

Result<void> RandomVisitor::any(std::string_view, qapi::Json& value) {
  note_member();
  fits_keyval_ = false;
  const qapi::Json values[] = {qapi::Json(),
                               qapi::Json(true),
                               qapi::Json(-1),
                               qapi::Json(UINT64_MAX),
                               qapi::Json(0.5),
                               qapi::Json("text"),
                               qapi::Json(qapi::Json::Array{1, "2"}),
                               qapi::Json::object({{"a", qapi::Json::object()}})};
  value = values[below(std::size(values))];
  return {};
}

}  // namespace pagurus::schema
