#include "monitor/clients.h"

#include "base/clock.h"
#include "base/log.h"
#include "schema/control_events.h"

namespace pagurus::monitor {

Clients::Clients(Environment environment)
    : environment_(environment),
      limiter_(environment.loop, [this](qapi::Event event, int64_t at_ns) { broadcast(std::move(event), at_ns); }) {}

Clients::~Clients() = default;

Result<void> Clients::add(Stream stream, Session::Style style) {
  if (sessions_.size() >= kMaxClients) return fail("{} are connected already", sessions_.size());
  Id id = ++last_id_;
  Session::Environment environment{
      .loop = environment_.loop,
      .commands = environment_.commands,
      .style = style,
      .execute = [this, id](Job job) { execute(id, std::move(job)); },
      // The session is in the middle of a call: it is destroyed from the loop.
      .on_closed = [this, id](Session::End end) { environment_.loop.post([this, id, end] { remove(id, end); }); },
  };
  auto session = TRY(Session::create(std::move(environment), std::move(stream)));
  sessions_.emplace(id, std::move(session));
  return {};
}

void Clients::remove(Id id, Session::End end) {
  sessions_.erase(id);
  if (end != Session::End::kTooSlow) return;
  emit(schema::monitor_disconnected_event({.reason = schema::MonitorDisconnectReason::kSlow}), realtime_ns());
}

// --- Commands ---------------------------------------------------------------------------------

void Clients::execute(Id id, Job job) {
  // Shared because tasks are copyable and descriptors are not.
  auto shared_job = std::make_shared<Job>(std::move(job));
  environment_.control.post([this, id, shared_job] {
    qapi::Call call{shared_job->fds};
    auto result = environment_.commands.execute(shared_job->command, call, shared_job->arguments);
    auto outcome = std::make_shared<Outcome>(std::move(result), std::move(shared_job->fds));
    environment_.loop.post([this, id, outcome] { complete(id, std::move(*outcome)); });
  });
}

void Clients::complete(Id id, Outcome outcome) {
  auto session = sessions_.find(id);
  if (session != sessions_.end()) session->second->complete(std::move(outcome));
}

// --- Events -----------------------------------------------------------------------------------

void Clients::emit(qapi::Event event, int64_t at_ns) { limiter_.submit(std::move(event), at_ns); }

void Clients::broadcast(qapi::Event event, int64_t at_ns) {
  qapi::Json message = event_message(std::move(event), at_ns);
  std::map<Session::Style, std::string> texts;  // those that somebody wants
  for (auto& [id, session] : sessions_) {
    std::string& text = texts[session->style()];
    if (text.empty()) text = Session::text_of(message, session->style());
    session->send_event(text);
  }
}

void Clients::finish() { limiter_.deliver_held(); }

// --- From other threads -----------------------------------------------------------------------

void Clients::post_client(UniqueFd socket, Session::Style style) {
  auto shared_socket = std::make_shared<UniqueFd>(std::move(socket));
  environment_.loop.post([this, shared_socket, style] {
    if (auto added = add({std::move(*shared_socket), UniqueFd()}, style); !added) {
      log_warning("a QMP client is turned away: {}", added.error().message());
    }
  });
}

void Clients::post_event(qapi::Event event, int64_t at_ns) {
  environment_.loop.post([this, event = std::move(event), at_ns] { emit(event, at_ns); });
}

}  // namespace pagurus::monitor
