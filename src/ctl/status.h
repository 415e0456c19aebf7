// `pagurusctl status`: what a guest's process says about itself.
#pragma once

#include <string>

#include "base/result.h"
#include "ctl/qmp_client.h"

namespace pagurus::ctl {

// One object with everything: the replies under their own names.
Result<qapi::Json> collect_status(QmpClient& client);
// The same for people.
std::string status_text(const qapi::Json& status);
// The pause and the time line of a hand-over: a reply of query-migrate.
std::string handover_text(const qapi::Json& info);

}  // namespace pagurus::ctl
