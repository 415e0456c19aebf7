#include "monitor/manifest_schema.h"

namespace pagurus::monitor {

schema::MigrationManifest manifest_to_schema(wire::Hello hello) {
  schema::MigrationManifest manifest;
  manifest.vmm_version = std::move(hello.vmm_version);
  manifest.mode = hello.mode == wire::Mode::kCopy ? schema::MigrationMode::kCopy : schema::MigrationMode::kLocal;
  manifest.backend_transfer = hello.backend_transfer;
  manifest.targets = std::move(hello.targets);
  for (auto& fact : hello.facts) {
    manifest.facts.push_back({.name = std::move(fact.name), .value = std::move(fact.value)});
  }
  for (auto& section : hello.sections) {
    manifest.sections.push_back({.name = std::move(section.name),
                                 .signature = std::move(section.signature),
                                 .version = section.version,
                                 .required = section.required});
  }
  for (auto& backend : hello.backends) {
    manifest.backends.push_back({.name = std::move(backend.name),
                                 .target = std::move(backend.target),
                                 .kind = std::move(backend.kind),
                                 .signature = std::move(backend.signature),
                                 .takes_part = backend.takes_part});
  }
  manifest.extras = std::move(hello.extras);
  return manifest;
}

wire::Hello manifest_of_schema(schema::MigrationManifest manifest) {
  wire::Hello hello;
  hello.vmm_version = std::move(manifest.vmm_version);
  hello.mode = manifest.mode == schema::MigrationMode::kCopy ? wire::Mode::kCopy : wire::Mode::kLocal;
  hello.backend_transfer = manifest.backend_transfer;
  hello.targets = std::move(manifest.targets);
  for (auto& fact : manifest.facts) hello.facts.push_back({std::move(fact.name), std::move(fact.value)});
  for (auto& section : manifest.sections) {
    hello.sections.push_back({.name = std::move(section.name),
                              .signature = std::move(section.signature),
                              .version = section.version,
                              .required = section.required});
  }
  for (auto& backend : manifest.backends) {
    hello.backends.push_back({.name = std::move(backend.name),
                              .target = std::move(backend.target),
                              .kind = std::move(backend.kind),
                              .signature = std::move(backend.signature),
                              .takes_part = backend.takes_part});
  }
  hello.extras = std::move(manifest.extras);
  return hello;
}

schema::MigrationManifestAnswer answer_to_schema(wire::Welcome welcome) {
  schema::MigrationManifestAnswer answer;
  answer.vmm_version = std::move(welcome.vmm_version);
  answer.wanted = std::move(welcome.wanted);
  answer.unknown = std::move(welcome.unknown);
  return answer;
}

}  // namespace pagurus::monitor
