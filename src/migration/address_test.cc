#include "migration/address.h"

#include <gtest/gtest.h>

namespace pagurus::migration {
namespace {

std::string refusal(const std::string& uri) {
  auto address = Address::parse(uri);
  return address ? "" : address.error().message();
}

TEST(Address, the_three_kinds_are_read) {
  EXPECT_EQ(Address::parse("unix:/run/a.sock")->path, "/run/a.sock");
  EXPECT_EQ(Address::parse("file:/tmp/a b")->path, "/tmp/a b");
  auto tcp = *Address::parse("tcp:host.example:4444");
  EXPECT_EQ(tcp.kind, Address::Kind::kTcp);
  EXPECT_EQ(tcp.tcp.host, "host.example");
  EXPECT_EQ(tcp.tcp.port, "4444");
  EXPECT_EQ(Address::parse("tcp::4444")->tcp.host, "");
  EXPECT_EQ(Address::parse("tcp:[::1]:4444")->tcp.host, "::1");
}

TEST(Address, what_is_none_is_refused_with_the_form_that_is_missing) {
  EXPECT_NE(refusal("unix:").find("unix:/path/of/socket"), std::string::npos);
  EXPECT_NE(refusal("file:").find("file:/path/of/file"), std::string::npos);
  EXPECT_NE(refusal("tcp:host").find("tcp:HOST:PORT"), std::string::npos);
  EXPECT_NE(refusal("tcp:host:").find("tcp:HOST:PORT"), std::string::npos);
  EXPECT_NE(refusal("tcp:::1:4444").find("brackets"), std::string::npos);
  for (const char* uri : {"", "x", "exec:cat", "fd:3", "rdma:a:1"}) {
    EXPECT_NE(refusal(uri).find("unix:PATH, tcp:HOST:PORT or file:PATH"), std::string::npos) << uri;
  }
}

TEST(Address, connecting_where_nobody_waits_says_what_to_do) {
  auto channel = connect({.kind = Address::Kind::kUnix, .path = "/tmp/pagurus-no-such-socket"});
  ASSERT_FALSE(channel.has_value());
  EXPECT_NE(channel.error().message().find("no destination waits there"), std::string::npos);
}

TEST(Address, a_path_that_no_socket_can_have_is_refused) {
  auto channel = connect({.kind = Address::Kind::kUnix, .path = std::string(108, 'x')});
  ASSERT_FALSE(channel.has_value());
  EXPECT_NE(channel.error().message().find("too long for a UNIX socket"), std::string::npos);
}

TEST(Address, what_is_no_file_is_not_written_and_not_read) {
  EXPECT_NE(connect({.kind = Address::Kind::kFile, .path = "/dev/null"}).error().message().find("not a regular file"),
            std::string::npos);
  EXPECT_NE(open_file({.kind = Address::Kind::kFile, .path = "/dev/null"}).error().message().find("not a regular file"),
            std::string::npos);
}

}  // namespace
}  // namespace pagurus::migration
