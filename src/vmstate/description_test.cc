#include "vmstate/description.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include "vmstate/testing/sample.h"

namespace pagurus::vmstate {
namespace {

enum class Mode : uint8_t { kOff, kOn };

struct Inner {
  uint16_t x = 0;
  static const Description& description() {
    static constexpr auto kFields = std::array{field<&Inner::x>("x", {.max = 100})};
    static constexpr Description kDescription{"inner", 1, kFields};
    return kDescription;
  }
};

struct Outer {
  uint32_t number = 0;
  bool flag = false;
  Mode mode = Mode::kOff;
  std::array<uint8_t, 3> bytes{};
  std::vector<Inner> inners;
  std::string text;
  int64_t late = -5;
  static const Description& description() {
    static constexpr auto kFields = std::array{
        field<&Outer::number>("number"),
        field<&Outer::flag>("flag"),
        field<&Outer::mode>("mode", {.max = 1}),
        field<&Outer::bytes>("bytes"),
        field<&Outer::inners>("inners", {.max = 2}),
        field<&Outer::text>("text", {.max = 8}),
        field<&Outer::late>("late", {.since = 2}),
    };
    static constexpr Description kDescription{"outer", 2, kFields};
    return kDescription;
  }
  Result<void> validate() const {
    if (number == 13) return fail("number 13 is not valid");
    return {};
  }
};

Outer sample() {
  Outer state{.number = 7, .flag = true, .mode = Mode::kOn, .bytes = {1, 2, 3}};
  state.inners = {{.x = 4}, {.x = 5}};
  state.text = "crab";
  state.late = -9;
  return state;
}

Result<Outer> read(const std::vector<uint8_t>& bytes, uint16_t version = 0) {
  Reader reader(bytes, {}, version);
  return read_state<Outer>(reader);
}

TEST(Description, round_trip_keeps_every_field) {
  Writer writer;
  write_state(writer, sample());
  auto loaded = read(writer.bytes());
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->number, 7u);
  EXPECT_TRUE(loaded->flag);
  EXPECT_EQ(loaded->mode, Mode::kOn);
  EXPECT_EQ(loaded->bytes, (std::array<uint8_t, 3>{1, 2, 3}));
  ASSERT_EQ(loaded->inners.size(), 2u);
  EXPECT_EQ(loaded->inners[1].x, 5);
  EXPECT_EQ(loaded->text, "crab");
  EXPECT_EQ(loaded->late, -9);
}

TEST(Description, an_older_version_leaves_later_fields_at_their_default) {
  Writer writer(1);
  write_state(writer, sample());
  auto loaded = read(writer.bytes(), 1);
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->late, -5);
}

TEST(Description, a_version_that_is_not_known_is_refused_in_words) {
  Writer writer;
  write_state(writer, sample());
  auto loaded = read(writer.bytes(), 3);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().message(), "version 3 of 'outer' where this version of pagurus knows 1 to 2");
}

TEST(Description, every_truncation_is_refused) {
  Writer writer;
  write_state(writer, sample());
  for (size_t size = 0; size < writer.bytes().size(); ++size) {
    std::vector<uint8_t> cut(writer.bytes().begin(), writer.bytes().begin() + static_cast<long>(size));
    EXPECT_FALSE(read(cut).has_value()) << size;
  }
}

TEST(Description, left_over_bytes_are_refused) {
  Writer writer;
  write_state(writer, sample());
  writer.put<uint8_t>(0);
  auto loaded = read(writer.bytes());
  ASSERT_FALSE(loaded.has_value());
  EXPECT_NE(loaded.error().message().find("outer: 1 bytes more than its declaration"), std::string::npos);
}

TEST(Description, a_value_over_its_limit_is_refused_by_name) {
  Outer state = sample();
  state.inners[0].x = 101;
  Writer writer;
  write_state(writer, state);
  auto loaded = read(writer.bytes());
  ASSERT_FALSE(loaded.has_value());
  EXPECT_NE(loaded.error().message().find("outer.inners: inner.x: 101 is larger than 100"), std::string::npos)
      << loaded.error().message();
}

TEST(Description, a_list_over_its_limit_is_refused_before_allocating) {
  Outer state = sample();
  state.inners.resize(3);
  Writer writer;
  write_state(writer, state);
  EXPECT_FALSE(read(writer.bytes()).has_value());
}

TEST(Description, validate_is_called) {
  Outer state = sample();
  state.number = 13;
  Writer writer;
  write_state(writer, state);
  EXPECT_FALSE(read(writer.bytes()).has_value());
}

TEST(Description, signature_names_versions_limits_and_nesting) {
  EXPECT_EQ(signature(Outer::description()),
            "outer/2{number:u32,flag:bool,mode:u8,bytes:[u8;3],inners:[inner/1{x:u16};<=2],text:str<=8,late:i64@2}");
  EXPECT_EQ(signature(Outer::description(), 1),
            "outer/1{number:u32,flag:bool,mode:u8,bytes:[u8;3],inners:[inner/1{x:u16};<=2],text:str<=8}");
}

struct Names {
  std::vector<std::string> names;
  static const Description& description() {
    static constexpr auto kFields = std::array{field<&Names::names>("names", {.max = 3, .element_max = 4})};
    static constexpr Description kDescription{"names", 1, kFields};
    return kDescription;
  }
};

TEST(Description, a_list_of_strings_limits_both_their_number_and_their_length) {
  for (const char* name : {"", "crab", "shell"}) {
    Writer writer;
    write_state(writer, Names{{"a", name}});
    Reader reader(writer.bytes(), {});
    EXPECT_EQ(read_state<Names>(reader).has_value(), std::string(name).size() <= 4) << name;
  }
}

// What a newer version has added to `old`: a field that is optional for good, and one that version 2 requires.
struct WithOptional {
  uint8_t old = 1;
  std::string note = "none";
  uint16_t settled = 7;
  static const Description& description() {
    static constexpr auto kFields = std::array{
        field<&WithOptional::old>("old"),
        field<&WithOptional::note>("note", {.max = 8, .optional = true}),
        field<&WithOptional::settled>("settled", {.max = 1000, .since = 2, .optional = true}),
    };
    static constexpr Description kDescription{"with-optional", 2, kFields};
    return kDescription;
  }
};

struct WithoutOptional {
  uint8_t old = 1;
  static const Description& description() {
    static constexpr auto kFields = std::array{field<&WithoutOptional::old>("old")};
    static constexpr Description kDescription{"with-optional", 1, kFields};
    return kDescription;
  }
};

std::vector<uint8_t> bytes_of(const WithOptional& state, uint16_t version) {
  Writer writer(version);
  write_state(writer, state);
  return writer.bytes();
}

using Bytes = std::vector<uint8_t>;

TEST(OptionalField, is_not_written_at_its_default_and_has_no_part_in_the_signature) {
  EXPECT_EQ(bytes_of({}, 1), Bytes{1});
  EXPECT_EQ(bytes_of({}, 2), (Bytes{1, 7, 0}));
  EXPECT_EQ(signature(WithOptional::description(), 1), signature(WithoutOptional::description()));
  EXPECT_EQ(signature(WithOptional::description()), "with-optional/2{old:u8,settled:u16@2}");
}

TEST(OptionalField, follows_the_others_with_its_name) {
  EXPECT_EQ(bytes_of({.old = 2, .note = "hi"}, 1), (Bytes{2, 4, 'n', 'o', 't', 'e', 6, 0, 0, 0, 2, 0, 0, 0, 'h', 'i'}));
  EXPECT_EQ(bytes_of({.settled = 9}, 1), (Bytes{1, 7, 's', 'e', 't', 't', 'l', 'e', 'd', 2, 0, 0, 0, 9, 0}));
}

TEST(OptionalField, round_trip_in_both_versions) {
  for (uint16_t version : {1, 2}) {
    Bytes bytes = bytes_of({.old = 3, .note = "crab", .settled = 1000}, version);
    Reader reader(bytes, {}, version);
    auto loaded = read_state<WithOptional>(reader);
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message();
    EXPECT_EQ(loaded->old, 3);
    EXPECT_EQ(loaded->note, "crab");
    EXPECT_EQ(loaded->settled, 1000);
    EXPECT_TRUE(reader.passed_over().empty());
  }
}

TEST(OptionalField, keeps_its_default_if_it_does_not_arrive) {
  Bytes bytes{5};
  Reader reader(bytes, {}, 1);
  auto loaded = read_state<WithOptional>(reader);
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->note, "none");
  EXPECT_EQ(loaded->settled, 7);
}

TEST(OptionalField, is_passed_over_and_reported_by_who_does_not_know_it) {
  Bytes bytes = bytes_of({.old = 3, .note = "crab", .settled = 8}, 1);
  Reader reader(bytes, {}, 1);
  auto loaded = read_state<WithoutOptional>(reader);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message();
  EXPECT_EQ(loaded->old, 3);
  EXPECT_EQ(reader.passed_over(), (std::vector<std::string>{"note", "settled"}));
}

std::string refusal(const Bytes& bytes, uint16_t version = 1) {
  Reader reader(bytes, {}, version);
  auto loaded = read_state<WithOptional>(reader);
  return loaded ? "accepted" : loaded.error().message();
}

TEST(OptionalField, is_refused_with_its_name) {
  Bytes settled = bytes_of({.settled = 9}, 1);
  Bytes twice = settled;
  twice.insert(twice.end(), settled.begin() + 1, settled.end());
  EXPECT_EQ(refusal(twice), "with-optional.settled: it is there twice");
  Bytes too_large = settled;
  too_large.back() = 0xff;
  EXPECT_EQ(refusal(too_large), "with-optional.settled: 65289 is larger than 1000");
  Bytes left_over = settled;
  left_over[9] = 3;
  left_over.push_back(0);
  EXPECT_EQ(refusal(left_over), "with-optional.settled: state has 1 bytes more than its declaration");
  EXPECT_EQ(refusal({settled.begin(), settled.end() - 1}), "with-optional.settled: state ends 1 bytes early");
  EXPECT_EQ(refusal({1, 3, 'o', 'l', 'd', 1, 0, 0, 0, 5}), "with-optional.old: not an optional field of version 1");
  Bytes fixed = bytes_of({}, 2);
  fixed.insert(fixed.end(), settled.begin() + 1, settled.end());
  EXPECT_EQ(refusal(fixed, 2), "with-optional.settled: not an optional field of version 2");
}

TEST(OptionalField, broken_in_any_way_is_refused_with_its_name) {
  for (uint16_t version : {1, 2}) {
    auto sample = testing::SampleMaker({}, version).make(WithOptional::description(), testing::Optional::kWith);
    EXPECT_EQ(refusal(sample.bytes, version), "accepted");
    ASSERT_EQ(sample.fields.size(), 3u);
    for (const auto& field : sample.fields) {
      for (const auto& breakage : field.breaks) {
        EXPECT_TRUE(refusal(breakage.apply(sample.bytes), version).starts_with(field.path)) << breakage.what;
      }
    }
  }
}

TEST(OptionalField, every_truncation_is_refused_but_the_one_before_the_name) {
  Bytes bytes = bytes_of({.note = "crab"}, 1);
  for (size_t size = 0; size < bytes.size(); ++size) {
    Bytes cut(bytes.begin(), bytes.begin() + static_cast<long>(size));
    EXPECT_EQ(refusal(cut) == "accepted", size == 1) << size;
  }
}

TEST(OptionalField, a_name_that_could_not_be_declared_is_refused) {
  for (uint8_t character : {'A', ' ', '\n', '_'}) {
    EXPECT_NE(refusal({1, 1, character, 0, 0, 0, 0}).find("without a proper name"), std::string::npos);
  }
  EXPECT_EQ(refusal({1, 1, 'x', 0, 0, 0, 0}), "accepted");
}

TEST(OptionalField, more_than_a_section_can_have_are_refused) {
  Bytes bytes{1};
  for (unsigned i = 0; i < 257; ++i) {
    std::string name = fmt::format("x{}", i);
    bytes.push_back(static_cast<uint8_t>(name.size()));
    bytes.insert(bytes.end(), name.begin(), name.end());
    bytes.insert(bytes.end(), 4, 0);
  }
  EXPECT_EQ(refusal(bytes), "with-optional: more than 256 optional fields");
}

struct WithOptionalFd {
  Fd fd;
  static const Description& description() {
    static constexpr auto kFields = std::array{field<&WithOptionalFd::fd>("fd", {.optional = true})};
    static constexpr Description kDescription{"with-optional-fd", 1, kFields};
    return kDescription;
  }
};

TEST(OptionalField, cannot_be_a_descriptor) {
  auto event = make_eventfd();
  ASSERT_TRUE(event.has_value());
  std::vector<UniqueFd> fds;
  fds.push_back(std::move(*event));
  Bytes bytes{2, 'f', 'd', 4, 0, 0, 0, 0, 0, 0, 0};
  Reader reader(bytes, std::move(fds));
  auto loaded = read_state<WithOptionalFd>(reader);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().message(), "with-optional-fd.fd: state names file descriptor 0 of 0");
}

struct WithFd {
  Fd fd;
  static const Description& description() {
    static constexpr auto kFields = std::array{field<&WithFd::fd>("fd")};
    static constexpr Description kDescription{"with-fd", 1, kFields};
    return kDescription;
  }
};

TEST(Description, a_descriptor_is_lent_by_the_writer_and_owned_by_the_reader) {
  auto event = make_eventfd();
  ASSERT_TRUE(event.has_value());
  Writer writer;
  WithFd state;
  state.fd = Fd::lend(event->get());
  write_state(writer, state);
  ASSERT_EQ(writer.fds(), std::vector<int>{event->get()});

  std::vector<UniqueFd> received;
  received.push_back(std::move(*duplicate(event->get())));
  Reader reader(writer.bytes(), std::move(received));
  EXPECT_EQ(reader.unclaimed_fds(), 1u);
  auto loaded = read_state<WithFd>(reader);
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(reader.unclaimed_fds(), 0u);
  signal_eventfd(loaded->fd.get());
  EXPECT_TRUE(drain_eventfd(event->get()));
}

TEST(Description, a_missing_descriptor_is_refused) {
  Writer writer;
  writer.put<uint32_t>(0);
  Reader reader(writer.bytes(), {});
  EXPECT_FALSE(read_state<WithFd>(reader).has_value());
}

}  // namespace
}  // namespace pagurus::vmstate
