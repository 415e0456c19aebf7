// A QMP client that sends anything, in pieces and with descriptors: to the JSON reader by itself, and to
// a session whose commands take arguments of every type.
#include "monitor/session.h"

#include <cstring>

#include "fuzz/descriptors.h"
#include "fuzz/target.h"
#include "qapi/json_input.h"
#include "qapi/json_output.h"
#include "qapi/json_reader.h"
#include "schema/migration_commands.h"

namespace pagurus::fuzz {
namespace {

using qapi::Json;

template <class Arguments>
Result<Json> read_and_return(qapi::Call&, const Json& arguments) {
  return qapi::to_json(TRY(qapi::from_json<Arguments>(arguments)));
}

// Arguments of the real commands; `urgent` may overtake the others.
qapi::CommandTable make_commands() {
  qapi::CommandTable table;
  table.add({.name = "none"}, [](qapi::Call&, const Json& arguments) -> Result<Json> {
    TRY(qapi::no_arguments(arguments));
    return Json::object({});
  });
  table.add({.name = "strict"}, read_and_return<schema::MigrateSetCapabilitiesArguments>);
  table.add({.name = "lenient"}, read_and_return<schema::MigrationParameters>);
  table.add({.name = "urgent", .oob = true}, read_and_return<schema::MigrationParameters>);
  table.add({.name = "getfd"}, [](qapi::Call& call, const Json&) -> Result<Json> {
    if (call.fds.empty()) return fail("No file descriptor supplied via SCM_RIGHTS");
    call.fds.pop_back();
    return Json::object({});
  });
  return table;
}

void read_json(std::string_view text) {
  for (size_t piece : {text.size() + 1, size_t{1}, size_t{7}}) {
    qapi::JsonReader reader({.max_bytes = 4096, .max_depth = 16});
    for (size_t at = 0; at < text.size(); at += piece) {
      reader.feed(text.substr(at, piece));
      size_t answers = 0;
      while (auto value = reader.next()) {
        CHECK(++answers <= text.size() + 2, "every answer uses up a byte, so there are no more answers than bytes");
        if (*value) CHECK(qapi::parse_json((*value)->text()).has_value(), "what is written can be read");
      }
    }
  }
}

// False if the session did not take it.
bool send(int socket, std::string_view text, bool with_descriptor) {
  iovec bytes{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  UniqueFd descriptor;
  if (with_descriptor) {
    descriptor = make_descriptor(kNull);
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    int number = descriptor.get();
    std::memcpy(CMSG_DATA(part), &number, sizeof number);
  }
  return ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

// A whole conversation: it ends when the session has seen the end of what the client sends.
void converse(std::string_view text) {
  static const qapi::CommandTable commands = make_commands();
  int ends[2];
  CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "a socket pair");
  UniqueFd client(ends[0]);
  auto loop = event::Loop::create();
  CHECK(loop.has_value(), "an event loop");
  event::Loop& turns = **loop;
  unsigned closed = 0;
  std::unique_ptr<monitor::Session> session;
  // One loop for both sides; what is executed is answered a turn later, as from another thread.
  auto execute = [&](monitor::Job job) {
    auto shared = std::make_shared<monitor::Job>(std::move(job));
    turns.post([&, shared] {
      qapi::Call call{shared->fds};
      auto result = commands.execute(shared->command, call, shared->arguments);
      session->complete({std::move(result), std::move(shared->fds)});
    });
  };
  auto created = monitor::Session::create({.loop = turns,
                                           .commands = commands,
                                           .execute = execute,
                                           .on_closed =
                                               [&](monitor::Session::End) {
                                                 ++closed;
                                                 turns.exit(0);
                                               }},
                                          {UniqueFd(ends[1]), UniqueFd()});
  CHECK(created.has_value(), "a session");
  session = std::move(*created);
  std::string answers;
  auto read_answers = [&](uint32_t) {
    char buffer[65536];
    ssize_t size = ::recv(client.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (size > 0) answers.append(buffer, static_cast<size_t>(size));
  };
  auto reading = turns.watch_fd(client.get(), EPOLLIN, read_answers);
  // Two pieces, the second with a descriptor; more than a socket holds is not the point here.
  size_t half = text.size() / 2;
  if (!text.empty()) send(client.get(), text.substr(0, half), false);
  if (!text.empty()) send(client.get(), text.substr(half), true);
  ::shutdown(client.get(), SHUT_WR);
  CHECK(turns.run().has_value(), "the loop runs");
  CHECK(closed == 1, "a session ends once");
  // Whatever was sent, the answers are JSON.
  read_answers(0);
  qapi::JsonReader reader({.max_bytes = answers.size() + 1, .max_depth = 100});
  reader.feed(answers);
  while (auto value = reader.next()) CHECK(value->has_value(), "the server speaks JSON");
}

}  // namespace

std::vector<Bytes> seeds() {
  return {
      bytes_of("{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"none\", \"id\": 1}"),
      bytes_of("{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": []}}\n"
               "{\"execute\": \"strict\", \"arguments\": {\"capabilities\": [{\"capability\": \"events\", \"state\": true}]}}"),
      bytes_of("{\"execute\": \"qmp_capabilities\"}{\"execute\": \"lenient\", \"arguments\": {\"backend-transfer\": [],"
               " \"downtime-limit\": 18446744073709551615}, \"id\": [1, 2.5, null, true]}\n"),
      bytes_of("{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"getfd\", \"arguments\": {\"fdname\": \"x\"}}\n"),
      bytes_of("{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}\n{\"execute\": \"none\"}"
               "{\"exec-oob\": \"urgent\", \"arguments\": {\"downtime-limit\": 1}, \"id\": 2}{\"exec-oob\": \"strict\"}"),
      bytes_of("{\"a\\u0041\\n\": \"\\ud83e\\udd80\", \"b\": -9223372036854775808, \"c\": 18446744073709551615}"),
      bytes_of("[[[[[[]]]]]] {} \"x\" 1e308 \xff {\"execute\": 1}\n{\"a\":1,\"a\":2}\n")};
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  pagurus::fuzz::read_json(text);
  pagurus::fuzz::converse(text);
  return 0;
}
