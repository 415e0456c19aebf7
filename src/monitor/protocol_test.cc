#include "monitor/protocol.h"

#include <gtest/gtest.h>

#include "qapi/json_reader.h"

namespace pagurus::monitor {
namespace {

using qapi::Json;

TEST(ProtocolTest, every_class_of_error_has_its_name) {
  const std::pair<ErrorClass, std::string> kClasses[] = {
      {ErrorClass::kGenericError, "GenericError"},       {ErrorClass::kCommandNotFound, "CommandNotFound"},
      {ErrorClass::kDeviceNotActive, "DeviceNotActive"}, {ErrorClass::kDeviceNotFound, "DeviceNotFound"},
      {ErrorClass::kKvmMissingCap, "KVMMissingCap"},
  };
  for (const auto& [error_class, name] : kClasses) {
    EXPECT_EQ(error_reply(Error("why", error_class), Json(1)).text(),
              R"({"error": {"class": ")" + name + R"(", "desc": "why"}, "id": 1})");
  }
}

TEST(ProtocolTest, an_absent_id_stays_absent_and_null_is_an_id) {
  EXPECT_EQ(success_reply(Json::object(), std::nullopt).text(), R"({"return": {}})");
  EXPECT_EQ(success_reply(Json::object(), Json()).text(), R"({"return": {}, "id": null})");
}

TEST(ProtocolTest, requests_are_taken_apart) {
  auto request = parse_request(*qapi::parse_json(R"({"arguments": {"a": 1}, "id": 2, "exec-oob": "go"})"));
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->lane, Request::Lane::kOutOfBand);
  EXPECT_EQ(request->command, "go");
  EXPECT_EQ(request->arguments.text(), R"({"a": 1})");
  request = parse_request(*qapi::parse_json(R"({"execute": "go"})"));
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->lane, Request::Lane::kInBand);
  EXPECT_EQ(request->arguments.text(), "{}");
}

TEST(ProtocolTest, events_carry_the_time_in_microseconds) {
  EXPECT_EQ(event_message({"X", Json::object({{"a", true}})}, 12'000'345'999).text(),
            R"({"timestamp": {"seconds": 12, "microseconds": 345}, "event": "X", "data": {"a": true}})");
}

}  // namespace
}  // namespace pagurus::monitor
