#include "migration/peer.h"

namespace pagurus::migration {

std::vector<wire::SectionData> to_messages(std::vector<machine::SavedSection> sections) {
  std::vector<wire::SectionData> messages;
  messages.reserve(sections.size());
  for (auto& section : sections) {
    wire::SectionData data{.name = std::move(section.name),
                           .version = section.version,
                           .required = section.required,
                           .bytes = std::move(section.bytes),
                           .fds = {}};
    for (int fd : section.fds) data.fds.push_back(vmstate::Fd::lend(fd));
    messages.push_back(std::move(data));
  }
  return messages;
}

std::vector<machine::LoadedSection> to_sections(std::vector<wire::SectionData> messages) {
  std::vector<machine::LoadedSection> sections;
  sections.reserve(messages.size());
  for (auto& data : messages) {
    machine::LoadedSection section{.name = std::move(data.name),
                                   .version = data.version,
                                   .required = data.required,
                                   .bytes = std::move(data.bytes),
                                   .fds = {}};
    for (auto& fd : data.fds) section.fds.push_back(fd.take());
    sections.push_back(std::move(section));
  }
  return sections;
}

}  // namespace pagurus::migration
