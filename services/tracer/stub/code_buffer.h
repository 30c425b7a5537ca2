// Collects machine code for a known address. Not thread-safe. Encodes nothing
// itself except little-endian numbers and the distances of near jumps.
#ifndef SERVICES_TRACER_STUB_CODE_BUFFER_H_
#define SERVICES_TRACER_STUB_CODE_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace flightrec::stub {

class CodeBuffer {
 public:
  explicit CodeBuffer(uint64_t address) : address_(address) {}

  CodeBuffer& Bytes(std::initializer_list<uint8_t> bytes) {
    bytes_.insert(bytes_.end(), bytes);
    return *this;
  }
  CodeBuffer& U32(uint64_t value) { return Number(value, 4); }
  CodeBuffer& U64(uint64_t value) { return Number(value, 8); }
  // A 4-byte distance from its end to `target`, which must be within +-2 GiB.
  CodeBuffer& Distance(uint64_t target) { return U32(target - (here() + 4)); }
  CodeBuffer& PadTo(size_t size, uint8_t value) {
    if (bytes_.size() < size) bytes_.resize(size, value);
    return *this;
  }
  // Fills in a 4-byte distance emitted at `offset` so that it leads here.
  void Bind(size_t offset) {
    const uint64_t distance = bytes_.size() - (offset + 4);
    for (int i = 0; i < 4; ++i) {
      bytes_[offset + i] = static_cast<uint8_t>(distance >> (8 * i));
    }
  }

  size_t size() const { return bytes_.size(); }
  uint64_t here() const { return address_ + bytes_.size(); }
  std::vector<uint8_t> Take() { return std::move(bytes_); }

 private:
  CodeBuffer& Number(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
      bytes_.push_back(static_cast<uint8_t>(value >> (8 * i)));
    }
    return *this;
  }

  uint64_t address_;
  std::vector<uint8_t> bytes_;
};

}  // namespace flightrec::stub

#endif  // SERVICES_TRACER_STUB_CODE_BUFFER_H_
