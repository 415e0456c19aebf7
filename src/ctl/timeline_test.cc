#include "ctl/timeline.h"

#include <gtest/gtest.h>

namespace pagurus::ctl {
namespace {

using qapi::Json;

Json phase(const char* name, double start_us, double duration_us) {
  return Json::object({{"name", name}, {"start-us", start_us}, {"duration-us", duration_us}});
}

Json migration(Json::Array phases) {
  return Json::object(
      {{"status", "completed"}, {"total-time", 12}, {"downtime-ms", 0.5}, {"phases", std::move(phases)}});
}

Json given() {
  return migration({phase("hello", 0, 1000), phase("prepare", 1000, 9000), phase("stop", 10'000, 100),
                    phase("save", 10'100, 100), phase("load", 10'250, 250)});
}

Json received() {
  return migration({phase("prepare", 0, 9000), phase("load", 10'000, 200), phase("enter", 10'200, 200)});
}

std::vector<std::string> names_on(const Json& trace, int track) {
  std::vector<std::string> names;
  for (const Json& event : trace.find("traceEvents")->as_array()) {
    if (event.find("ph")->as_string() == "X" && event.find("tid")->as_int64() == track) {
      names.push_back(event.find("name")->as_string());
    }
  }
  return names;
}

using Names = std::vector<std::string>;

TEST(Timeline, the_pause_has_a_scale_of_its_own) {
  EXPECT_EQ(*timeline_text(given()),
            "migration: completed, 12 ms, pause 0.500 ms\n"
            "the guest runs: 10.000 ms\n"
            "  hello    at      0.000 ms       1.000 ms  ####\n"
            "  prepare  at      1.000 ms       9.000 ms      ####################################\n"
            "the guest is held still: 0.500 ms\n"
            "  stop     at     10.000 ms       0.100 ms  ########\n"
            "  save     at     10.100 ms       0.100 ms          ########\n"
            "  load     at     10.250 ms       0.250 ms                      ####################\n");
}

TEST(Timeline, the_trace_tells_the_processes_apart) {
  Json trace = *chrome_trace(given());
  EXPECT_EQ(names_on(trace, 1), Names{"pause"});
  EXPECT_EQ(names_on(trace, 2), (Names{"hello", "prepare", "stop", "save"}));
  EXPECT_EQ(names_on(trace, 3), Names{"load"});
  EXPECT_EQ(names_on(*chrome_trace(received()), 3), (Names{"prepare", "load", "enter"}));
}

TEST(Timeline, a_process_that_had_no_migration_says_so) {
  EXPECT_EQ(timeline_text(Json::object()).error().message(), "this process has neither sent nor received a guest");
  EXPECT_FALSE(chrome_trace(migration({})).has_value());
  EXPECT_FALSE(timeline_text(Json("no object")).has_value());
}

TEST(Timeline, strange_numbers_do_no_harm) {
  Json strange = migration({phase("stop", -1e300, 1e300), phase("save", 1e300, 1e300), phase("load", 0, -5),
                            Json::object({{"name", 7}, {"start-us", "soon"}})});
  EXPECT_TRUE(timeline_text(strange).has_value());
  EXPECT_FALSE(timeline_text(migration({"stop"})).has_value());
}

}  // namespace
}  // namespace pagurus::ctl
