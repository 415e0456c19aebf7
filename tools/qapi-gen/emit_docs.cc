#include "emit_docs.h"

#include "man_page.h"
#include "markdown.h"
#include "reference.h"

namespace pagurus::qapi_gen {

Checked<std::vector<OutputFile>> emit_docs(const Schema& schema) {
  std::vector<ReferenceModule> modules = reference_of(schema);
  std::vector<OutputFile> files = markdown_of(modules);
  files.push_back(man_page_of(modules));
  return files;
}

}  // namespace pagurus::qapi_gen
