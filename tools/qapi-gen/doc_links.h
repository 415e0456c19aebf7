// Which sections of documentation comments belong to something that exists: every member and feature of a
// documented definition needs a section, and every such section needs its member or feature.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "definition.h"
#include "doc.h"
#include "parser.h"

namespace pagurus::qapi_gen {

class DocLinks {
 public:
  explicit DocLinks(const Parsed& parsed) : parsed_(parsed) {}

  // `role` as messages call it: "member", "value", "branch".  A missing section is excused by the pragma
  // 'documentation-exceptions'.
  Checked<> connect_member(const Doc& doc, std::string_view name, std::string_view role, const Place& place);
  Checked<> connect_feature(const Doc& doc, std::string_view name, const Place& place);
  // After everything was connected: finds sections about nothing.
  Checked<> check_all();

 private:
  using Names = std::unordered_map<std::string_view, bool>;  // true: connected
  struct Index {
    Names members;
    Names features;
  };
  Index& index(const Doc& doc);
  static Checked<> check_section(const DocSection& section, const Names& names, std::string_view what);

  const Parsed& parsed_;
  std::unordered_map<const Doc*, Index> docs_;
};

}  // namespace pagurus::qapi_gen
