// Every field of everything that is declared, broken in every way that its type allows: refused with its
// name.  Made from the declarations, so a field that is added is tested.
#include <gtest/gtest.h>

#include <functional>
#include <ostream>

#include "app/testing/declared_states.h"

namespace pagurus::app::testing {
namespace {

using vmstate::testing::Sample;

struct Case {
  DeclaredState state;
  std::string path;
};

void PrintTo(const Case& value, std::ostream* out) { *out << value.path; }

std::vector<DeclaredState> all_states() {
  auto states = states_of(DeclaredSections());
  auto messages = states_of(DeclaredMessages());
  states.insert(states.end(), messages.begin(), messages.end());
  return states;
}

Sample whole_sample_of(const vmstate::Description& description) {
  return sample_of(description, description.version, vmstate::testing::Optional::kWith);
}

std::vector<Case> all_fields() {
  std::vector<Case> cases;
  for (const DeclaredState& state : all_states()) {
    for (const auto& field : whole_sample_of(*state.description).fields) {
      cases.push_back({state, field.path});
    }
  }
  return cases;
}

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  std::string name;
  for (char c : info.param.path) {
    if (c != ':') name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  }
  return name;
}

Result<Bytes> read(const DeclaredState& state, const Bytes& bytes, uint32_t fds) {
  vmstate::Reader reader(bytes, some_descriptors(fds), state.description->version);
  return state.rewrite(reader);
}

class DeclaredField : public ::testing::TestWithParam<Case> {};

TEST_P(DeclaredField, broken_is_refused_by_name) {
  const DeclaredState& state = GetParam().state;
  Sample sample = whole_sample_of(*state.description);
  auto field = std::ranges::find(sample.fields, GetParam().path, &vmstate::testing::SampleField::path);
  ASSERT_NE(field, sample.fields.end());
  ASSERT_FALSE(field->breaks.empty());
  for (const auto& breakage : field->breaks) {
    auto result = read(state, breakage.apply(sample.bytes), sample.fds);
    ASSERT_FALSE(result.has_value()) << breakage.what;
    EXPECT_NE(result.error().message().find(field->path), std::string::npos)
        << breakage.what << ": " << result.error().message();
  }
}

INSTANTIATE_TEST_SUITE_P(Every, DeclaredField, ::testing::ValuesIn(all_fields()), name_of);

TEST(DeclaredStates, a_sample_of_each_is_accepted_and_nothing_may_follow_it) {
  for (const DeclaredState& state : all_states()) {
    Sample sample = whole_sample_of(*state.description);
    auto result = read(state, sample.bytes, sample.fds);
    ASSERT_TRUE(result.has_value()) << result.error().message();
    EXPECT_EQ(*result, sample.bytes) << state.description->name;
    sample.bytes.push_back(0);
    result = read(state, sample.bytes, sample.fds);
    ASSERT_FALSE(result.has_value()) << state.description->name;
    EXPECT_TRUE(result.error().message().starts_with(state.description->name)) << result.error().message();
  }
}

bool holds_descriptor(const vmstate::Type& type) {
  using vmstate::Kind;
  if (type.kind == Kind::kStruct) {
    return std::ranges::any_of(type.nested().fields, [](const auto& field) { return holds_descriptor(field.type); });
  }
  return type.kind == Kind::kFd || (type.element != nullptr && holds_descriptor(*type.element));
}

// Calls `visit` for every field below a declaration, with the depth at which it is.
void walk(const vmstate::Description& description, int depth,
          const std::function<void(const vmstate::Field&, int depth)>& visit) {
  for (const vmstate::Field& field : description.fields) {
    visit(field, depth);
    const vmstate::Type* type = &field.type;
    while (type->element != nullptr) type = type->element;
    if (type->kind == vmstate::Kind::kStruct) walk(type->nested(), depth + 1, visit);
  }
}

TEST(DeclaredStates, keep_the_rules_that_types_cannot_express) {
  for (const DeclaredState& state : all_states()) {
    walk(*state.description, 0, [&](const vmstate::Field& field, int depth) {
      auto where = fmt::format("field '{}' in '{}'", field.name, state.description->name);
      EXPECT_EQ(field.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-"), std::string::npos) << where;
      EXPECT_TRUE(!field.name.empty() && field.name.size() <= 255) << where;
      EXPECT_TRUE(depth == 0 || (!field.limits.optional && field.limits.since == 1))
          << where << ": a struct inside another is always read whole";
      EXPECT_LE(field.limits.since, state.description->version) << where;
      EXPECT_FALSE(field.limits.optional && holds_descriptor(field.type)) << where << ": a descriptor is not optional";
    });
  }
}

}  // namespace
}  // namespace pagurus::app::testing
