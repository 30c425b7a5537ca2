// Little-endian integers and LEB128 varints in byte strings.
//
// Not thread-safe. ByteReader never reads outside its bytes: past the end, or
// after a malformed varint, it returns 0 and ok() stays false.
#ifndef COMMON_CHUNK_BYTE_IO_H_
#define COMMON_CHUNK_BYTE_IO_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/types/span.h"

namespace flightrec::chunk {

static_assert(std::endian::native == std::endian::little,
              "chunks are written and read by copying integers");

template <typename T>
void StoreInteger(std::string& bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(value));
}

template <typename T>
T LoadInteger(const void* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

template <typename T>
void AppendInteger(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

inline void AppendVarint(std::string& bytes, uint64_t value) {
  while (value >= 0x80) {
    bytes.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  bytes.push_back(static_cast<char>(value));
}

// Maps differences modulo 2^64 to integers that are small near 0 on both sides.
constexpr uint64_t ZigZag(uint64_t difference) {
  return difference << 1 ^ (0 - (difference >> 63));
}
constexpr uint64_t UnZigZag(uint64_t value) { return value >> 1 ^ (0 - (value & 1)); }

class ByteReader {
 public:
  explicit ByteReader(absl::Span<const uint8_t> bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  absl::Span<const uint8_t> rest() const { return rest_; }

  template <typename T>
  T ReadInteger() {
    const absl::Span<const uint8_t> bytes = ReadBytes(sizeof(T));
    return ok_ ? LoadInteger<T>(bytes.data()) : T{0};
  }

  uint64_t ReadVarint() {
    constexpr size_t kMaxVarintBytes = 10;
    uint64_t value = 0;
    for (size_t i = 0; i < kMaxVarintBytes && i < rest_.size(); ++i) {
      value |= uint64_t{rest_[i] & 0x7Fu} << (7 * i);
      if (rest_[i] < 0x80) {
        rest_.remove_prefix(i + 1);
        return value;
      }
    }
    ok_ = false;
    return 0;
  }

  absl::Span<const uint8_t> ReadBytes(size_t count) {
    if (count > rest_.size() || !ok_) {
      ok_ = false;
      return {};
    }
    const absl::Span<const uint8_t> bytes = rest_.first(count);
    rest_.remove_prefix(count);
    return bytes;
  }

 private:
  absl::Span<const uint8_t> rest_;
  bool ok_ = true;
};

}  // namespace flightrec::chunk

#endif  // COMMON_CHUNK_BYTE_IO_H_
