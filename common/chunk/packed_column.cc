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

unsigned LengthCode(uint64_t value) {
  return (value >= 1u << 8 ? 1u : 0u) + (value >= 1u << 16 ? 1u : 0u) +
         (value >= uint64_t{1} << 32 ? 1u : 0u);
}

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

// Writes the length codes and returns how many there are of each.
std::array<size_t, 4> WriteCodes(absl::Span<const uint64_t> values, uint8_t* codes) {
  std::array<size_t, 4> counts{};
  for (size_t i = 0; i < values.size(); i += 4) {
    const size_t count = std::min<size_t>(4, values.size() - i);
    unsigned byte = 0;
    for (size_t k = 0; k < count; ++k) {
      const unsigned code = LengthCode(values[i + k]);
      byte |= code << (2 * k);
      ++counts[code];
    }
    codes[i / 4] = static_cast<uint8_t>(byte);
  }
  return counts;
}

void AppendPlanes(absl::Span<const uint64_t> values, std::string& bytes) {
  const size_t begin = bytes.size();
  const size_t code_bytes = CodeBytes(values.size());
  bytes.resize(begin + code_bytes);
  const std::array<size_t, 4> counts =
      WriteCodes(values, reinterpret_cast<uint8_t*>(bytes.data()) + begin);
  const size_t second_bytes = values.size() - counts[0];
  const size_t total =
      code_bytes + values.size() + second_bytes + kWideBytes * counts[2] + kWidestBytes * counts[3];
  // One more, for a second byte that is written and then not kept.
  bytes.resize(begin + total + 1);
  uint8_t* const low = reinterpret_cast<uint8_t*>(bytes.data()) + begin + code_bytes;
  uint8_t* second = low + values.size();
  uint8_t* wide = second + second_bytes;
  uint8_t* widest = wide + kWideBytes * counts[2];
  for (size_t i = 0; i < values.size(); ++i) {
    low[i] = static_cast<uint8_t>(values[i]);
    *second = static_cast<uint8_t>(values[i] >> 8);
    second += values[i] >= 1u << 8 ? 1 : 0;
  }
  for (const uint64_t value : values) {
    const unsigned code = LengthCode(value);
    const uint64_t upper = value >> 16;
    if (code == 2) {
      std::memcpy(wide, &upper, kWideBytes);
      wide += kWideBytes;
    } else if (code == 3) {
      std::memcpy(widest, &upper, kWidestBytes);
      widest += kWidestBytes;
    }
  }
  bytes.resize(begin + total);
}

}  // namespace

void AppendPackedColumn(absl::Span<const uint64_t> values, std::string& bytes) {
  uint64_t all = 0;
  for (const uint64_t value : values) all |= value;
  if (all == 0) {
    bytes.push_back(static_cast<char>(Shape::kZeros));
  } else if (LengthCode(all) == 0) {
    bytes.push_back(static_cast<char>(Shape::kBytes));
    const size_t begin = bytes.size();
    bytes.resize(begin + values.size());
    for (size_t i = 0; i < values.size(); ++i) bytes[begin + i] = static_cast<char>(values[i]);
  } else {
    bytes.push_back(static_cast<char>(Shape::kPlanes));
    AppendPlanes(values, bytes);
  }
}

bool ReadPackedColumn(absl::Span<const uint8_t>& bytes, absl::Span<uint64_t> values) {
  return ReadColumn(bytes, values);
}

bool ReadPackedColumn(absl::Span<const uint8_t>& bytes, absl::Span<uint32_t> values) {
  return ReadColumn(bytes, values);
}

}  // namespace flightrec::chunk
