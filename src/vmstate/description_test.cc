#include "vmstate/description.h"

#include <gtest/gtest.h>

#include <unistd.h>

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
  Reader reader(bytes, {});
  return read_state<Outer>(reader, version);
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
  Writer writer;
  write_state(writer, sample(), 1);
  auto loaded = read(writer.bytes(), 1);
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->late, -5);
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
  EXPECT_FALSE(read(writer.bytes()).has_value());
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
