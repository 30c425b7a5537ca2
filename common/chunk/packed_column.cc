#include "common/chunk/packed_column.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "common/chunk/byte_io.h"

namespace flightrec::chunk {
namespace {

enum class Shape : uint8_t { kZeros = 0, kBytes = 1, kPlanes = 2 };

// Of a 2-bit length code: 1, 2, 4 or 8 bytes.
constexpr size_t kWideBytes = 2;    // behind the two planes, for code 2
constexpr size_t kWidestBytes = 6;  // behind the two planes, for code 3

size_t CodeBytes(size_t count) { return (count + 3) / 4; }

// The streams of a column in kPlanes.
struct Planes {
  const uint8_t* codes = nullptr;
  const uint8_t* low = nullptr;
  const uint8_t* second = nullptr;
  const uint8_t* wide = nullptr;
  const uint8_t* widest = nullptr;
};

// How many of the first `count` codes have each value.
std::array<size_t, 4> CountCodes(const uint8_t* codes, size_t count) {
  std::array<size_t, 4> counts{};
  size_t i = 0;
  constexpr uint64_t kLowBits = 0x5555555555555555u;
  for (; i + 32 <= count; i += 32) {
    const uint64_t word = LoadInteger<uint64_t>(codes + i / 4);
    const uint64_t low = word & kLowBits;
    const uint64_t high = word >> 1 & kLowBits;
    counts[1] += static_cast<size_t>(std::popcount(low & ~high));
    counts[2] += static_cast<size_t>(std::popcount(high & ~low));
    counts[3] += static_cast<size_t>(std::popcount(high & low));
  }
  for (; i < count; ++i) ++counts[codes[i / 4] >> (2 * (i % 4)) & 3];
  counts[0] = count - counts[1] - counts[2] - counts[3];
  return counts;
}

bool FindPlanes(absl::Span<const uint8_t>& bytes, size_t count, Planes& planes) {
  if (bytes.size() < CodeBytes(count)) return false;
  planes.codes = bytes.data();
  const std::array<size_t, 4> codes = CountCodes(planes.codes, count);
  planes.low = planes.codes + CodeBytes(count);
  planes.second = planes.low + count;
  planes.wide = planes.second + (count - codes[0]);
  planes.widest = planes.wide + kWideBytes * codes[2];
  const size_t total = CodeBytes(count) + count + (count - codes[0]) + kWideBytes * codes[2] +
                       kWidestBytes * codes[3];
  if (bytes.size() < total) return false;
  bytes.remove_prefix(total);
  return true;
}

template <typename T>
bool ReadPlanes(absl::Span<const uint8_t>& bytes, absl::Span<T> values) {
  Planes planes;
  if (!FindPlanes(bytes, values.size(), planes)) return false;
  bool fits = true;
  for (size_t i = 0; i < values.size(); ++i) {
    const unsigned code = planes.codes[i / 4] >> (2 * (i % 4)) & 3u;
    const unsigned has_second = code != 0 ? 1 : 0;
    // Read also when it belongs to a later value, then masked out: cheaper than
    // a branch that is taken at random.
    uint64_t value = planes.low[i] | (uint64_t{*planes.second} & (0u - has_second)) << 8;
    planes.second += has_second;
    if (code >= 2) [[unlikely]] {
      if (code == 2) {
        value |= uint64_t{LoadInteger<uint16_t>(planes.wide)} << 16;
        planes.wide += kWideBytes;
      } else {
        value |= uint64_t{LoadInteger<uint32_t>(planes.widest)} << 16 |
                 uint64_t{LoadInteger<uint16_t>(planes.widest + 4)} << 48;
        planes.widest += kWidestBytes;
      }
    }
    values[i] = static_cast<T>(value);
    if constexpr (sizeof(T) < 8) fits &= code != 3;
  }
  return fits;
}

template <typename T>
bool ReadColumn(absl::Span<const uint8_t>& bytes, absl::Span<T> values) {
  if (bytes.empty()) return false;
  const Shape shape{bytes[0]};
  bytes.remove_prefix(1);
  switch (shape) {
    case Shape::kZeros:
      std::fill(values.begin(), values.end(), T{0});
      return true;
    case Shape::kBytes:
      if (bytes.size() < values.size()) return false;
      std::copy_n(bytes.begin(), values.size(), values.begin());
      bytes.remove_prefix(values.size());
      return true;
    case Shape::kPlanes:
      return ReadPlanes(bytes, values);
  }
  return false;
}

absl::string_view View(const std::vector<uint8_t>& bytes, size_t count) {
  return {reinterpret_cast<const char*>(bytes.data()), count};
}

}  // namespace

void ColumnPacker::Reserve(size_t count) {
  if (low_.size() >= count && !codes_.empty()) return;
  codes_.resize(1 + CodeBytes(count));
  low_.resize(count);
  // One more, for a second byte that is written and then not kept.
  second_.resize(count + 1);
  wide_.resize(kWideBytes * count);
  widest_.resize(kWidestBytes * count);
}

unsigned ColumnPacker::PutUpper(uint64_t value, Ends& ends) {
  const uint64_t upper = value >> 16;
  if (upper < 1u << 16) {
    std::memcpy(ends.wide, &upper, kWideBytes);
    ends.wide += kWideBytes;
    return 2;
  }
  std::memcpy(ends.widest, &upper, kWidestBytes);
  ends.widest += kWidestBytes;
  return 3;
}

void ColumnPacker::SetParts(size_t count, uint64_t all, const Ends& ends) {
  const Shape shape = all == 0 ? Shape::kZeros : (all < 1u << 8 ? Shape::kBytes : Shape::kPlanes);
  codes_[0] = static_cast<uint8_t>(shape);
  parts_[0] = View(codes_, shape == Shape::kPlanes ? 1 + CodeBytes(count) : 1);
  parts_[1] = View(low_, count);
  parts_[2] = View(second_, static_cast<size_t>(ends.second - second_.data()));
  parts_[3] = View(wide_, static_cast<size_t>(ends.wide - wide_.data()));
  parts_[4] = View(widest_, static_cast<size_t>(ends.widest - widest_.data()));
  part_count_ = shape == Shape::kZeros ? 1 : (shape == Shape::kBytes ? 2 : parts_.size());
}

bool ReadPackedColumn(absl::Span<const uint8_t>& bytes, absl::Span<uint64_t> values) {
  return ReadColumn(bytes, values);
}

bool ReadPackedColumn(absl::Span<const uint8_t>& bytes, absl::Span<uint32_t> values) {
  return ReadColumn(bytes, values);
}

}  // namespace flightrec::chunk
