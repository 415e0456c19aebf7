// Values of the schema's types to JSON: to_json(value).
#pragma once

#include "qapi/visitor.h"

namespace pagurus::qapi {

class JsonOutput final : public Visitor {
 public:
  JsonOutput() : Visitor(Direction::kWrite) {}
  // What was written, once.
  Json take() { return std::move(result_); }

  Result<void> start_object(std::string_view name) override;
  Result<void> end_object() override;
  Result<size_t> start_list(std::string_view name, size_t size) override;
  Result<void> end_list() override;
  Result<bool> present(std::string_view, bool present) override { return present; }
  Result<size_t> choose(std::string_view, std::span<const Alternative>, size_t chosen) override { return chosen; }
  Result<void> boolean(std::string_view name, bool& value) override { return place(name, Json(value)); }
  Result<void> integer(std::string_view name, int64_t& value, int64_t min, int64_t max) override;
  Result<void> natural(std::string_view name, uint64_t& value, uint64_t max) override;
  Result<void> size(std::string_view name, uint64_t& bytes) override { return place(name, Json(bytes)); }
  Result<void> number(std::string_view name, double& value) override { return place(name, Json(value)); }
  Result<void> string(std::string_view name, std::string& value) override { return place(name, Json(value)); }
  Result<void> enumeration(std::string_view name, size_t& index, Names names) override;
  Result<void> null(std::string_view name) override { return place(name, Json()); }
  Result<void> any(std::string_view name, Json& value) override { return place(name, value); }

 private:
  struct Level {
    std::string name;  // in the level below
    Json value;
  };

  Result<void> place(std::string_view name, Json value);
  Result<void> end();

  std::vector<Level> open_;
  Json result_;
};

template <class T>
Json to_json(const T& value) {
  JsonOutput output;
  // One visit function serves both directions; a writer leaves the value as it is.
  auto written = visit(output, {}, const_cast<T&>(value));
  CHECK(written.has_value(), "writing JSON never fails");
  return output.take();
}

}  // namespace pagurus::qapi
