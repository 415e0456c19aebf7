#include "ctl/analyze/message_json.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "wire/channel.h"

namespace pagurus::ctl {
namespace {

using qapi::Json;
using wire::MessageType;

// A migration file.
class StreamTest : public ::testing::Test {
 protected:
  template <class T>
  void write(MessageType type, const T& body) {
    channel_.enqueue(type, body);
    ASSERT_TRUE(channel_.flush());
  }
  void write_bytes(std::string_view bytes) {
    ASSERT_EQ(::write(file_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  std::vector<Json> messages(MessageAnalyzer::RamRuns ram_runs = MessageAnalyzer::RamRuns::kCount) {
    ::lseek(file_.get(), 0, SEEK_SET);
    auto reader = FrameReader::create(*duplicate(file_.get()), Patience::endless(-1));
    MessageAnalyzer analyzer(ram_runs);
    std::vector<Json> result;
    while (auto frame = reader->next()) {
      if (!*frame) {
        truncated_ = reader->truncated();
        return result;
      }
      result.push_back(analyzer.analyze(**frame));
    }
    failed_ = true;
    return result;
  }

  UniqueFd file_{::memfd_create("stream", MFD_CLOEXEC)};
  wire::Channel channel_ = wire::Channel::of_file(*duplicate(file_.get()));
  bool truncated_ = false;
  bool failed_ = false;
};

TEST_F(StreamTest, sections_are_decoded_by_what_hello_has_said) {
  wire::Hello hello;
  hello.mode = wire::Mode::kCopy;
  hello.sections = {{"counter", "counter/1{n:u16}", 1, true}, {"odd", "?", 1, true}};
  write(MessageType::kHello, hello);
  wire::State state;
  state.sections.push_back({.name = "counter", .version = 1, .bytes = {1, 2}, .fds = {}});
  state.sections.push_back({.name = "odd", .version = 1, .bytes = {3}, .fds = {}});
  state.sections.push_back({.name = "news", .version = 1, .required = false, .bytes = {4}, .fds = {}});
  write(MessageType::kState, state);
  auto all = messages();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].find("body")->find("mode")->as_int64(), 2);
  const auto& sections = all[1].find("body")->find("sections")->as_array();
  EXPECT_EQ(sections[0].find("state")->text(), R"({"n": 513})");
  EXPECT_EQ(sections[1].find("bytes")->text(), R"("03")");
  EXPECT_EQ(sections[1].find("problem")->as_string(), "the signature has a type '?'");
  EXPECT_EQ(sections[2].text(), R"({"name": "news", "version": 1, "required": false, "fds": [], "bytes": "04"})");
}

TEST_F(StreamTest, ram_is_summed_up_or_listed) {
  wire::Ram ram;
  ram.runs = {{.offset = 0, .pages = 1, .zero = false}, {.offset = 4096, .pages = 5, .zero = true}};
  ram.data.resize(4096);
  write(MessageType::kRam, ram);
  EXPECT_EQ(messages()[0].find("body")->text(), R"({"runs": 2, "pages": 6, "zero-pages": 5, "bytes": 4096})");
  auto listed = messages(MessageAnalyzer::RamRuns::kList);
  EXPECT_EQ(listed[0].find("body")->find("run-list")->as_array().size(), 2u);
}

TEST_F(StreamTest, a_message_too_large_for_this_version_is_passed_over) {
  auto header = wire::encode_header(MessageType::kState, vmstate::Writer());
  store_le<uint32_t>(&header[8], wire::kMaxBody + 1);
  write_bytes({reinterpret_cast<const char*>(header.data()), header.size()});
  ASSERT_EQ(::lseek(file_.get(), wire::kMaxBody, SEEK_CUR), off_t{wire::kMaxBody} + 24);
  write_bytes("x");
  write(MessageType::kReady, wire::Ready{7});
  auto all = messages();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].find("body"), nullptr);
  EXPECT_EQ(all[1].find("body")->text(), R"({"prepared-ns": 7})");
}

TEST_F(StreamTest, an_end_inside_a_message_is_told_from_one_behind_it) {
  write(MessageType::kReady, wire::Ready{7});
  messages();
  EXPECT_FALSE(truncated_);
  write_bytes("PGR");
  messages();
  EXPECT_TRUE(truncated_);
  write_bytes("X");
  EXPECT_EQ(messages().size(), 1u);
  EXPECT_TRUE(failed_);
}

}  // namespace
}  // namespace pagurus::ctl
