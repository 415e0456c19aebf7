#include "qapi/box.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace pagurus::qapi {
namespace {

struct Node {
  std::string name;
  std::optional<Box<Node>> next;
  bool operator==(const Node&) const = default;
};

TEST(Box, a_copy_is_a_value_of_its_own) {
  Node first{.name = "a", .next = Box(Node{.name = "b", .next = {}})};
  Node second = first;
  EXPECT_TRUE(first == second);
  (*second.next)->name = "c";
  EXPECT_EQ((*first.next)->name, "b");
  EXPECT_FALSE(first == second);
  second = first;
  EXPECT_TRUE(first == second);
}

TEST(Box, empty_boxes_are_equal_to_each_other_only) {
  EXPECT_TRUE(Box<int>() == Box<int>());
  EXPECT_FALSE(Box<int>() == Box<int>(0));
  Box<int> box;
  EXPECT_FALSE(box);
  box.emplace() = 3;
  EXPECT_EQ(*box, 3);
}

TEST(BoxDeathTest, an_empty_box_is_not_looked_into) {
  Box<int> box;
  EXPECT_DEATH((void)*box, "a box is filled before it is used");
}

}  // namespace
}  // namespace pagurus::qapi
