#include "output_writer.h"

#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

namespace pagurus::qapi_gen {
namespace {

Result<void> write_file(const std::filesystem::path& path, const std::string& text) {
  const auto present = DiskReader().read(path.string());
  if (present && *present == text) return {};
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) return fail("cannot create the directory of '{}': {}", path.string(), error.message());
  errno = 0;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) return fail_errno(errno, "cannot write '{}'", path.string());
  return {};
}

// The characters that make and ninja see something else in.
std::string escaped(const std::string& path) {
  std::string result;
  for (const char c : path) {
    if (c == ' ' || c == '#' || c == '\\') result += '\\';
    if (c == '$') result += '$';
    result += c;
  }
  return result;
}

}  // namespace

Result<void> write_files(const std::string& directory, const std::vector<OutputFile>& files) {
  for (const OutputFile& file : files) TRY(write_file(std::filesystem::path(directory) / file.path, file.text));
  return {};
}

std::string depfile_text(const std::string& directory, const std::vector<OutputFile>& written, const Parsed& read) {
  std::string text;
  for (const OutputFile& file : written) {
    text += fmt::format("{}{}", text.empty() ? "" : " ", escaped((std::filesystem::path(directory) / file.path).string()));
  }
  text += ":";
  for (const auto& file : read.files) text += " \\\n  " + escaped(file->path);
  return text + "\n";
}

}  // namespace pagurus::qapi_gen
