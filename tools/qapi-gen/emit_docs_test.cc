#include "emit_docs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test_schema.h"

namespace pagurus::qapi_gen {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kSchema = R"(
##
# *****
# Lamps
# *****
##

##
# @Lamp:
#
# What a *lamp* is.  See `light`.
#
# @on: Whether it is:
#
#     - on
#
#         - and bright
#
#       or so
#
# @name: Its name, ``a_b``.  (Since 1.1)
#
# Features:
#
# @deprecated: Member @name is deprecated.  Use nothing instead.
#
# Since: 1.0
#
# aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa
# bbbb bbbb bbbb bbbb bbbb bbbb bbbb + more, ``x`` for $x$
#
# ::
#
#     ```fence```
##
{ 'struct': 'Lamp',
  'data': { 'on': 'bool',
            '*name': { 'type': 'str', 'features': [ 'deprecated' ] } } }

##
# @light:
#
# Switches it.
#
# @lamps: Those.
#
# Features:
#
# @unstable: Not yet.
#
# Returns: The lamps
#
# Errors:
#     - GenericError if -it- is broken.
#
# Since: 1.0
#
# .. qmp-example::
#
#     -> { "execute": "light" }
#     .dotted
##
{ 'command': 'light', 'data': { 'lamps': [ 'Lamp' ] }, 'returns': 'Lamp',
  'features': [ 'unstable' ], 'allow-oob': true }

##
# @DARK:
#
# It went out.
#
# Since: 1.0
##
{ 'event': 'DARK', 'data': 'Lamp' }
)";

struct EmitDocs : ::testing::Test {
  std::string file(std::string_view path) const {
    for (const OutputFile& output : files) {
      if (output.path == path) return output.text;
    }
    return "";
  }
  std::unique_ptr<Schema> schema = schema_of(kSchema);
  std::vector<OutputFile> files = *emit_docs(*schema);
};

TEST_F(EmitDocs, the_index_links_every_definition) {
  std::string index = file("reference/README.md");
  EXPECT_THAT(index, HasSubstr("## [Lamps](test.md)"));
  EXPECT_THAT(index, HasSubstr("- Command [`light`](test.md#light): Switches it.\n"));
  EXPECT_THAT(index, HasSubstr("- Event [`DARK`](test.md#DARK): It went out.\n"));
}

TEST_F(EmitDocs, markdown_says_what_the_schema_and_its_texts_say) {
  std::string page = file("reference/test.md");
  EXPECT_THAT(page, HasSubstr("What a \\*lamp\\* is.  See [`light`](#light).\n"));
  EXPECT_THAT(page, HasSubstr("- `name` (string, optional, deprecated): Its name, `a_b`.  (Since 1.1)\n"));
  EXPECT_THAT(page, HasSubstr("- `lamps` (array of [`Lamp`](#Lamp)): Those.\n"));
  EXPECT_THAT(page, HasSubstr("**Features**\n\n- `unstable`: Not yet.\n"));
  EXPECT_THAT(page, HasSubstr("**Returns** [`Lamp`](#Lamp)\n\nThe lamps\n"));
  EXPECT_THAT(page, HasSubstr("**Errors**\n\n- GenericError if -it- is broken.\n"));
  EXPECT_THAT(page, HasSubstr("It may be executed out of band.\n"));
  EXPECT_THAT(page, HasSubstr("```json\n-> { \"execute\": \"light\" }\n.dotted\n```\n"));
  EXPECT_THAT(page, HasSubstr("**Data**\n\n- The members of [`Lamp`](#Lamp).\n"));
  EXPECT_THAT(page, HasSubstr("*Since 1.0*\n"));
}

TEST_F(EmitDocs, markdown_shows_lists_where_they_stand_and_lines_as_they_are) {
  std::string page = file("reference/test.md");
  EXPECT_THAT(page, HasSubstr("- `on` (boolean): Whether it is:\n\n  - on\n    - and bright\n\n    or so\n"));
  EXPECT_THAT(page, HasSubstr("````\n```fence```\n````\n"));
  EXPECT_THAT(page, HasSubstr(" bbbb\n\\+ more, `x` for \\$x\\$\n"));
}

TEST_F(EmitDocs, the_man_page_shows_lists_where_they_stand) {
  EXPECT_THAT(
      file("man/pagurus-qmp.7"),
      HasSubstr("Whether it is:\n.RS\n.IP \\(bu 3\non\n.RS 3\n.IP \\(bu 3\nand bright\n.PP\nor so\n.RE\n.RE\n"));
}

TEST(EmitDocsRoot, the_text_of_the_root_introduces_the_index) {
  const MemoryReader::Files files{
      {"main.json", "##\n# ***\n# All\n# ***\n#\n# What `go` is for.\n##\n{ 'include': 'part.json' }\n"},
      {"part.json", "{ 'command': 'go' }\n"}};
  const auto schema = load_schema("main.json", Dialect::kStrict, MemoryReader(files));
  ASSERT_TRUE(schema.has_value()) << schema.error().text();
  const std::vector<OutputFile> made = *emit_docs(**schema);
  ASSERT_EQ(made.size(), 3u);
  EXPECT_THAT(made[0].text, HasSubstr("\nWhat [`go`](part.md#go) is for.\n\n## [part](part.md)\n\n- Command [`go`]"));
  EXPECT_EQ(made[1].path, "reference/part.md");
  EXPECT_THAT(made[2].text, HasSubstr(".PP\nWhat \\fBgo\\fR is for.\n.SH COMMANDS\n"));
}

TEST_F(EmitDocs, the_man_page_escapes_what_roff_would_read) {
  std::string page = file("man/pagurus-qmp.7");
  EXPECT_THAT(page, HasSubstr(".SS light\n"));
  EXPECT_THAT(page, HasSubstr("\\&.dotted\n"));
  EXPECT_THAT(page, HasSubstr("GenericError if \\-it\\- is broken."));
  EXPECT_THAT(page, HasSubstr("\\fBname\\fR (string, optional, deprecated)\n"));
  EXPECT_THAT(page, HasSubstr("The members of \\fBLamp\\fR.\n"));
}

}  // namespace
}  // namespace pagurus::qapi_gen
