#include "ctl/analyze/state_type.h"

#include <gtest/gtest.h>

#include "ctl/analyze/message_types.h"
#include "kvm/vcpu_state.h"

namespace pagurus::ctl {
namespace {

using vmstate::Kind;

std::string refusal(std::string_view text) {
  auto type = parse_signature(text);
  return type ? "accepted" : type.error().message();
}

// The inverse of the parser, as vmstate::signature() writes it.
std::string text_of(const StateType& type) {
  switch (type.kind) {
    case Kind::kUnsigned: return fmt::format("u{}", type.size * 8);
    case Kind::kSigned: return fmt::format("i{}", type.size * 8);
    case Kind::kBool: return "bool";
    case Kind::kFd: return "fd";
    case Kind::kString: return fmt::format("str<={}", type.count);
    case Kind::kArray: return fmt::format("[{};{}]", text_of(*type.element), type.count);
    case Kind::kList: return fmt::format("[{};<={}]", text_of(*type.element), type.count);
    case Kind::kStruct: break;
  }
  std::string text = fmt::format("{}/{}{{", type.name, type.version);
  const char* separator = "";
  for (const StateField& field : type.fields) {
    text += fmt::format("{}{}:{}", std::exchange(separator, ","), field.name, text_of(field.type));
    if (field.since > 1) text += fmt::format("@{}", field.since);
  }
  return text + "}";
}

TEST(StateType, every_kind_of_field_is_understood) {
  const char* text =
      "timer/2{deadline-ns:u64,late:i16,on:bool,fd:fd,name:str<=8,four:[u8;4],channels:[u32;<=3]@2,"
      "inner:[inner/1{};<=2],names:[str<=255;<=4096]}";
  auto type = parse_signature(text);
  ASSERT_TRUE(type.has_value()) << type.error().message();
  EXPECT_EQ(text_of(*type), text);
  EXPECT_EQ(type->fields[6].since, 2);
}

TEST(StateType, what_this_program_declares_is_understood) {
  std::vector<const vmstate::Description*> all{&kvm::VcpuStates::description()};
  for (uint16_t number = 1; const auto* message = declared(wire::MessageType{number}); ++number) all.push_back(message);
  EXPECT_EQ(all.size(), 12u);
  for (const vmstate::Description* description : all) {
    std::string text = vmstate::signature(*description);
    auto type = parse_signature(text);
    ASSERT_TRUE(type.has_value()) << text << ": " << type.error().message();
    EXPECT_EQ(text_of(*type), text);
  }
}

TEST(StateType, what_is_no_signature_is_refused_with_its_place) {
  EXPECT_EQ(refusal(""), "a name is expected at byte 0 of the signature");
  EXPECT_EQ(refusal("a/1{x:u8"), "',' is expected at byte 8 of the signature");
  EXPECT_EQ(refusal("a/1{x:u8}}"), "the end is expected at byte 9 of the signature");
  EXPECT_EQ(refusal("a/1{x:u9}"), "the signature has a type 'u9'");
  EXPECT_EQ(refusal("a/99999{}"), "a number is expected at byte 2 of the signature");
  EXPECT_EQ(refusal("a/1{x:u8,x:u8}"), "the signature has field 'x' twice");
  EXPECT_EQ(refusal("[u8;-1]"), "a number is expected at byte 4 of the signature");
  EXPECT_EQ(refusal("str"), "'<=' is expected at byte 3 of the signature");
  EXPECT_EQ(refusal(std::string(60'000, '[')), "the signature is nested more than 32 deep");
}

TEST(StateType, every_truncation_is_refused) {
  std::string_view text = "timer/2{deadline-ns:u64,channels:[u32;<=3]@2}";
  for (size_t size = 0; size < text.size(); ++size) EXPECT_NE(refusal(text.substr(0, size)), "accepted") << size;
}

}  // namespace
}  // namespace pagurus::ctl
