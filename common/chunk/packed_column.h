// A column of integers as byte planes: all low bytes together, all second bytes
// together and so on, which zstd's entropy coder shrinks better than mixed bytes
// and which is read with few branches. FORMAT.md, "Packed column".
//
// Reading is pure functions, a ColumnPacker is for one thread. Does not compress.
#ifndef COMMON_CHUNK_PACKED_COLUMN_H_
#define COMMON_CHUNK_PACKED_COLUMN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace flightrec::chunk {

// ReadPackedColumn may read this many bytes behind the column, without using
// them: the buffer must reach that far.
inline constexpr size_t kPackedColumnSlack = 8;

// Packs one column after the other; keeps its memory, 16 bytes a value.
class ColumnPacker {
 public:
  // `value(i)` is called once for each i < count, in order.
  template <typename Value>
  void Pack(size_t count, Value value);
  // The same for values that are all 0.
  void PackZeros() {
    Pack(0, [](size_t) { return uint64_t{0}; });
  }

  // What Pack made: joined, the column. Valid until the next Pack.
  absl::Span<const absl::string_view> parts() const {
    return absl::MakeConstSpan(parts_).first(part_count_);
  }

 private:
  // Ends of the streams whose length depends on the values.
  struct Ends {
    uint8_t* second;
    uint8_t* wide;
    uint8_t* widest;
  };

  void Reserve(size_t count);
  // Of a value of 2^16 and above; returns its length code.
  static unsigned PutUpper(uint64_t value, Ends& ends);
  void SetParts(size_t count, uint64_t all, const Ends& ends);

  // The shape and the length codes, the low bytes, and so on.
  std::vector<uint8_t> codes_;
  std::vector<uint8_t> low_;
  std::vector<uint8_t> second_;
  std::vector<uint8_t> wide_;
  std::vector<uint8_t> widest_;
  std::array<absl::string_view, 5> parts_;
  size_t part_count_ = 0;
};

template <typename Value>
void ColumnPacker::Pack(size_t count, Value value) {
  Reserve(count);
  uint8_t* const codes = codes_.data() + 1;
  uint8_t* const low = low_.data();
  Ends ends = {second_.data(), wide_.data(), widest_.data()};
  uint64_t all = 0;
  const auto put = [&](size_t i) -> unsigned {
    const uint64_t one = value(i);
    all |= one;
    low[i] = static_cast<uint8_t>(one);
    // Written also where there is none, and then written over: cheaper than a branch that is
    // taken at random.
    *ends.second = static_cast<uint8_t>(one >> 8);
    const unsigned has_second = one >= 1u << 8 ? 1 : 0;
    ends.second += has_second;
    if (one >= 1u << 16) [[unlikely]]
      return PutUpper(one, ends);
    return has_second;
  };
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    unsigned code = put(i);
    code |= put(i + 1) << 2;
    code |= put(i + 2) << 4;
    code |= put(i + 3) << 6;
    codes[i / 4] = static_cast<uint8_t>(code);
  }
  if (i < count) {
    unsigned code = 0;
    for (size_t k = 0; i + k < count; ++k) code |= put(i + k) << (2 * k);
    codes[i / 4] = static_cast<uint8_t>(code);
  }
  SetParts(count, all, ends);
}

// Reads values.size() values from the front of `bytes` and removes them from
// it. Returns false if they are malformed or cut.
bool ReadPackedColumn(absl::Span<const uint8_t>& bytes, absl::Span<uint64_t> values);
bool ReadPackedColumn(absl::Span<const uint8_t>& bytes, absl::Span<uint32_t> values);

}  // namespace flightrec::chunk

#endif  // COMMON_CHUNK_PACKED_COLUMN_H_
