// The manifest of a migration as QMP shows it, and back.
#pragma once

#include "schema/migration.h"
#include "wire/messages.h"

namespace pagurus::monitor {

schema::MigrationManifest manifest_to_schema(wire::Hello hello);
wire::Hello manifest_of_schema(schema::MigrationManifest manifest);
schema::MigrationManifestAnswer answer_to_schema(wire::Welcome welcome);

}  // namespace pagurus::monitor
