// Reads little-endian values and DWARF LEB128 numbers from bytes that may be
// damaged. A read past the end yields 0 and sets failed(), which stays set: the
// caller checks once after a group of reads. Not thread-safe.

#ifndef SERVICES_TRACER_SYMBOLS_BYTE_CURSOR_H_
#define SERVICES_TRACER_SYMBOLS_BYTE_CURSOR_H_

#include <cstdint>
#include <cstring>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace flightrec::symbols {

class ByteCursor {
 public:
  explicit ByteCursor(absl::Span<const uint8_t> bytes) : bytes_(bytes) {}

  template <typename T>
  T Read() {
    T value{};
    if (failed_ || bytes_.size() - position_ < sizeof(T)) {
      failed_ = true;
      return value;
    }
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  uint64_t ReadUleb() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t byte = Read<uint8_t>();
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    failed_ = true;
    return 0;
  }

  int64_t ReadSleb() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t byte = Read<uint8_t>();
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) != 0) continue;
      if ((byte & 0x40) != 0 && shift + 7 < 64) value |= ~0ull << (shift + 7);
      return static_cast<int64_t>(value);
    }
    failed_ = true;
    return 0;
  }

  // NUL-terminated text, without the NUL.
  absl::string_view ReadText() {
    const char* text = reinterpret_cast<const char*>(bytes_.data()) + position_;
    const size_t length = failed_ ? 0 : strnlen(text, remaining());
    Skip(length + 1);
    return failed_ ? absl::string_view() : absl::string_view(text, length);
  }

  void Skip(uint64_t count) {
    if (failed_ || bytes_.size() - position_ < count) {
      failed_ = true;
      return;
    }
    position_ += count;
  }

  // The next `count` bytes as a cursor of their own; empty and failed when
  // there are fewer.
  ByteCursor Take(uint64_t count) {
    const size_t start = position_;
    Skip(count);
    if (failed_) {
      ByteCursor none({});
      none.failed_ = true;
      return none;
    }
    return ByteCursor(bytes_.subspan(start, count));
  }

  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }
  bool AtEnd() const { return failed_ || position_ == bytes_.size(); }
  bool failed() const { return failed_; }

 private:
  absl::Span<const uint8_t> bytes_;
  size_t position_ = 0;
  bool failed_ = false;
};

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_BYTE_CURSOR_H_
