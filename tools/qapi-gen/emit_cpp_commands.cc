#include "emit_cpp_commands.h"

#include <fmt/format.h>

#include <algorithm>

#include "c_names.h"
#include "cpp_writer.h"
#include "doc_text.h"
#include "emit_cpp_types.h"

namespace pagurus::qapi_gen {
namespace {

// The headers of the modules whose types the arguments and results are or hold.
void include_types(CppWriter& out, const CppModule& module, const std::vector<const Type*>& types) {
  std::set<std::string> stems = {module.stem};
  auto add = [&](const Type& type) {
    const Type& element = element_type(type);
    if (element.module != nullptr) stems.insert(module_stem(*element.module));
  };
  for (const Type* type : types) {
    if (type == nullptr) continue;
    add(*type);
    for (const Type* held : held_types(*type)) add(*held);
  }
  for (const std::string& stem : stems) out.line(fmt::format("#include \"schema/{}.h\"", stem));
}

template <class Entities>
void declare_own_arguments(CppWriter& out, const Entities& entities) {
  for (const auto* entity : entities) {
    const ObjectType* own = own_arguments(*entity);
    if (own == nullptr) continue;
    out.open_if(entity->condition);
    declare_arguments(out, *own, arguments_name(*entity));
    out.close_if(entity->condition);
    out.line();
  }
}

template <class Entities>
void define_own_arguments(CppWriter& out, const Entities& entities) {
  for (const auto* entity : entities) {
    const ObjectType* own = own_arguments(*entity);
    if (own == nullptr) continue;
    out.open_if(entity->condition);
    define_arguments(out, *own, arguments_name(*entity));
    out.close_if(entity->condition);
    out.line();
  }
}

std::string class_name(const CppModule& module) { return camel_name(module.stem) + "Commands"; }
std::string returned_type(const Command& command) {
  return command.returns != nullptr ? cpp_type(*command.returns) : "void";
}
// A command may have arguments of a type without members.
bool takes_arguments(const Command& command) { return command.arguments != nullptr; }

void declare_command(CppWriter& out, const Command& command) {
  out.open_if(command.condition);
  out.comment(first_sentence(command.doc), "  ");
  std::string arguments = takes_arguments(command) ? fmt::format(", {} arguments", arguments_name(command)) : "";
  out.line(fmt::format("  virtual Result<{}> {}(qapi::Call& call{}) = 0;", returned_type(command),
                       cpp_name(command.name), arguments));
  out.close_if(command.condition);
}

std::string command_info(const Command& command) {
  std::string info = fmt::format("{{.name = {}", cpp_string(command.name));
  if (command.allow_oob) info += ", .oob = true";
  if (command.allow_preconfig) info += ", .preconfig = true";
  if (!command.success_response) info += ", .success_response = false";
  return info + "}";
}

std::string call_text(const Command& command) {
  std::string call = fmt::format("commands.{}(call", cpp_name(command.name));
  if (takes_arguments(command)) call += ", std::move(read)";
  return call + ")";
}

void register_command(CppWriter& out, const Command& command) {
  constexpr std::string_view kIndent = "              ";
  out.open_if(command.condition);
  out.line(fmt::format("  table.add({},", command_info(command)));
  out.line("            [&commands](qapi::Call& call, const qapi::Json& arguments) -> Result<qapi::Json> {");
  std::string read = "TRY(qapi::no_arguments(arguments));";
  if (takes_arguments(command))
    read = fmt::format("auto read = TRY(qapi::read_arguments<{}>(arguments));", arguments_name(command));
  out.line(fmt::format("{}{}", kIndent, read));
  if (command.returns == nullptr) {
    out.line(fmt::format("{}TRY({});", kIndent, call_text(command)));
    out.line(fmt::format("{}return qapi::Json::object();", kIndent));
  } else {
    out.line(fmt::format("{}auto result = TRY({});", kIndent, call_text(command)));
    out.line(fmt::format("{}return qapi::to_json(result);", kIndent));
  }
  out.line("            });");
  out.close_if(command.condition);
}

std::vector<const Command*> generated_commands(const CppModule& module) {
  std::vector<const Command*> result;
  std::ranges::copy_if(module.commands, std::back_inserter(result),
                       [](const Command* command) { return command->gen; });
  return result;
}

std::string event_signature(const Event& event) {
  std::string data = event.arguments != nullptr ? fmt::format("const {}& data", arguments_name(event)) : "";
  std::string name(event.name);
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  return fmt::format("qapi::Event {}({})", cpp_name(name + "_event"), data);
}

}  // namespace

const ObjectType* own_arguments(const Command& command) {
  bool own = command.gen && command.arguments != nullptr && command.arguments->implicit;
  return own ? command.arguments : nullptr;
}

const ObjectType* own_arguments(const Event& event) {
  return event.arguments != nullptr && event.arguments->implicit ? event.arguments : nullptr;
}

OutputFile commands_header(const CppModule& module) {
  CppWriter out;
  auto commands = generated_commands(module);
  out.line(file_comment(*module.file, "The commands") + "#pragma once\n");
  std::vector<const Type*> types;
  for (const Command* command : commands) {
    types.push_back(command->arguments);
    types.push_back(command->returns);
  }
  out.line("#include \"qapi/command.h\"");
  include_types(out, module, types);
  out.line("\nnamespace pagurus::schema {\n");
  declare_own_arguments(out, commands);
  out.line("// What executes the commands.  An error becomes the command's reply.");
  out.line(fmt::format("class {} {{\n public:\n  virtual ~{}() = default;", class_name(module), class_name(module)));
  for (const Command* command : commands) declare_command(out, *command);
  out.line("};\n");
  out.line("// `commands` must outlive the table.");
  out.line(fmt::format("void register_commands(qapi::CommandTable& table, {}& commands);", class_name(module)));
  out.line("\n}  // namespace pagurus::schema");
  return {.path = fmt::format("schema/{}_commands.h", module.stem), .text = out.take()};
}

OutputFile commands_source(const CppModule& module) {
  CppWriter out;
  auto commands = generated_commands(module);
  out.line(file_comment(*module.file, "Registration of the commands"));
  out.line(fmt::format("#include \"schema/{}_commands.h\"\n", module.stem));
  out.line("#include \"qapi/json_input.h\"\n#include \"qapi/json_output.h\"\n\nnamespace pagurus::schema {\n");
  define_own_arguments(out, commands);
  out.line(fmt::format(
      "void register_commands([[maybe_unused]] qapi::CommandTable& table, [[maybe_unused]] {}& commands) {{",
      class_name(module)));
  for (const Command* command : commands) register_command(out, *command);
  out.line("}\n\n}  // namespace pagurus::schema");
  return {.path = fmt::format("schema/{}_commands.cc", module.stem), .text = out.take()};
}

OutputFile events_header(const CppModule& module) {
  CppWriter out;
  out.line(file_comment(*module.file, "The events") + "#pragma once\n");
  std::vector<const Type*> types;
  for (const Event* event : module.events) types.push_back(event->arguments);
  out.line("#include \"qapi/event.h\"");
  include_types(out, module, types);
  out.line("\nnamespace pagurus::schema {\n");
  declare_own_arguments(out, module.events);
  for (const Event* event : module.events) {
    out.open_if(event->condition);
    out.comment(first_sentence(event->doc));
    out.line(event_signature(*event) + ";");
    out.close_if(event->condition);
  }
  out.line("\n}  // namespace pagurus::schema");
  return {.path = fmt::format("schema/{}_events.h", module.stem), .text = out.take()};
}

OutputFile events_source(const CppModule& module) {
  CppWriter out;
  out.line(file_comment(*module.file, "Making of the events"));
  out.line(fmt::format("#include \"schema/{}_events.h\"\n", module.stem));
  out.line("#include \"qapi/json_output.h\"\n\nnamespace pagurus::schema {\n");
  define_own_arguments(out, module.events);
  for (const Event* event : module.events) {
    std::string data = event->arguments != nullptr ? "qapi::to_json(data)" : "{}";
    out.open_if(event->condition);
    out.line(fmt::format("{} {{ return {{{}, {}}}; }}", event_signature(*event), cpp_string(event->name), data));
    out.close_if(event->condition);
  }
  out.line("\n}  // namespace pagurus::schema");
  return {.path = fmt::format("schema/{}_events.cc", module.stem), .text = out.take()};
}

}  // namespace pagurus::qapi_gen
