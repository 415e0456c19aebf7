#include "bus/io_bus.h"

#include <mutex>

namespace pagurus::bus {

Result<void> IoBus::map(uint64_t base, uint64_t size, std::string name, IoHandler& handler) {
  std::unique_lock lock(lock_);
  auto next = mappings_.lower_bound(base);
  if (next != mappings_.end() && next->first - base < size) {
    return fail("'{}' at {:#x} overlaps '{}'", name, base, next->second.name);
  }
  if (next != mappings_.begin()) {
    auto previous = std::prev(next);
    if (base - previous->first < previous->second.size) {
      return fail("'{}' at {:#x} overlaps '{}'", name, base, previous->second.name);
    }
  }
  mappings_.emplace(base, Mapping{size, std::move(name), &handler});
  return {};
}

void IoBus::unmap(uint64_t base) {
  std::unique_lock lock(lock_);
  mappings_.erase(base);
}

std::pair<IoHandler*, uint64_t> IoBus::find(uint64_t address, unsigned size) const {
  std::shared_lock lock(lock_);
  auto next = mappings_.upper_bound(address);
  if (next == mappings_.begin()) return {nullptr, 0};
  const auto& [base, mapping] = *std::prev(next);
  uint64_t offset = address - base;
  if (offset >= mapping.size || size > mapping.size - offset) return {nullptr, 0};
  return {mapping.handler, offset};
}

uint64_t IoBus::read(uint64_t address, unsigned size) const {
  auto [handler, offset] = find(address, size);
  return handler == nullptr ? ~uint64_t{0} : handler->io_read(offset, size);
}

void IoBus::write(uint64_t address, unsigned size, uint64_t value) const {
  auto [handler, offset] = find(address, size);
  if (handler != nullptr) handler->io_write(offset, size, value);
}

}  // namespace pagurus::bus
