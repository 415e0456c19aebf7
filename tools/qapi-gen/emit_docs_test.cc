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
# @on: Whether it is.
#
# @name: Its name, ``a_b``.  (Since 1.1)
#
# Since: 1.0
##
{ 'struct': 'Lamp', 'data': { 'on': 'bool', '*name': 'str' } }

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
  EXPECT_THAT(page, HasSubstr("- `name` (string, optional): Its name, `a_b`.  (Since 1.1)\n"));
  EXPECT_THAT(page, HasSubstr("- `lamps` (array of [`Lamp`](#Lamp)): Those.\n"));
  EXPECT_THAT(page, HasSubstr("**Features**\n\n- `unstable`: Not yet.\n"));
  EXPECT_THAT(page, HasSubstr("**Returns** [`Lamp`](#Lamp)\n\nThe lamps\n"));
  EXPECT_THAT(page, HasSubstr("**Errors**\n\n- GenericError if -it- is broken.\n"));
  EXPECT_THAT(page, HasSubstr("It may be executed out of band.\n"));
  EXPECT_THAT(page, HasSubstr("```json\n-> { \"execute\": \"light\" }\n.dotted\n```\n"));
  EXPECT_THAT(page, HasSubstr("**Data**\n\n- The members of [`Lamp`](#Lamp).\n"));
  EXPECT_THAT(page, HasSubstr("*Since 1.0*\n"));
}

TEST_F(EmitDocs, the_man_page_escapes_what_roff_would_read) {
  std::string page = file("man/pagurus-qmp.7");
  EXPECT_THAT(page, HasSubstr(".SS light\n"));
  EXPECT_THAT(page, HasSubstr("\\&.dotted\n"));
  EXPECT_THAT(page, HasSubstr("GenericError if \\-it\\- is broken."));
  EXPECT_THAT(page, HasSubstr("\\fBname\\fR (string, optional)\n"));
  EXPECT_THAT(page, HasSubstr("The members of \\fBLamp\\fR.\n"));
}

}  // namespace
}  // namespace pagurus::qapi_gen
