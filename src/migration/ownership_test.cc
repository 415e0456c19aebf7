#include "migration/ownership.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <thread>

namespace pagurus::migration {
namespace {

TEST(Ownership, exactly_one_side_wins) {
  for (int round = 0; round < 200; ++round) {
    auto source = *Ownership::create();
    auto destination = *Ownership::adopt(*duplicate(source.fd()));
    bool source_won = false, destination_won = false;
    std::thread other([&] { destination_won = destination.claim_for_destination(); });
    source_won = source.claim_back_for_source();
    other.join();
    EXPECT_NE(source_won, destination_won);
    EXPECT_EQ(source.owner(), source_won ? Owner::kSourceResumed : Owner::kDestination);
    EXPECT_EQ(source.claim_back_for_source(), source_won) << "asking again gives the same answer";
  }
}

TEST(Ownership, a_file_that_could_shrink_is_refused) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(fd.get(), 4096), 0);
  EXPECT_FALSE(Ownership::adopt(std::move(fd)).has_value());
}

}  // namespace
}  // namespace pagurus::migration
