#include "schema.h"

#include <algorithm>

#include "base/result.h"
#include "expressions.h"
#include "linker.h"

namespace pagurus::qapi_gen {

bool Entity::has_feature(std::string_view feature) const {
  return std::ranges::find(features, feature, &Feature::name) != features.end();
}

std::vector<const Entity*> Schema::defined_in(const SourceFile& module) const {
  std::vector<const Entity*> result;
  for (const auto& entity : entities) {
    // Built-in and implicit ones have no place of their own.
    if (entity->module == &module && entity->at.file != nullptr) result.push_back(entity.get());
  }
  return result;
}

Checked<std::unique_ptr<Schema>> load_schema(const std::string& root, Dialect dialect, const FileReader& reader) {
  auto schema = std::make_unique<Schema>();
  schema->parsed = TRY(parse(root, dialect, reader));
  const std::vector<Definition> definitions = TRY(read_definitions(schema->parsed));
  TRY(Linker(*schema).link(definitions));
  return schema;
}

}  // namespace pagurus::qapi_gen
