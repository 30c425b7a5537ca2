#include "services/tracer/symbols/punycode.h"

#include <vector>

#include "absl/strings/ascii.h"

namespace flightrec::symbols {
namespace {

// RFC 3492, section 5.
constexpr uint32_t kBase = 36;
constexpr uint32_t kMinimum = 1;
constexpr uint32_t kMaximum = 26;
constexpr uint32_t kSkew = 38;
constexpr uint32_t kDamp = 700;
constexpr uint32_t kFirstBias = 72;
constexpr uint32_t kFirstCode = 128;

constexpr uint32_t kLastCode = 0x10ffff;

uint32_t Adapt(uint64_t delta, uint64_t points, bool first) {
  delta = first ? delta / kDamp : delta / 2;
  delta += delta / points;
  uint32_t k = 0;
  for (; delta > (kBase - kMinimum) * kMaximum / 2; k += kBase) delta /= kBase - kMinimum;
  return k + static_cast<uint32_t>((kBase - kMinimum + 1) * delta / (delta + kSkew));
}

// kBase: not a digit.
uint32_t Digit(char c) {
  if (absl::ascii_islower(c)) return static_cast<uint32_t>(c - 'a');
  if (absl::ascii_isdigit(c)) return static_cast<uint32_t>(c - '0') + 26;
  return kBase;
}

// One number of variable length, taken from the front; none when it is cut off
// or too large.
absl::optional<uint64_t> TakeNumber(absl::string_view& text, uint32_t bias) {
  uint64_t number = 0;
  uint64_t weight = 1;
  for (uint32_t k = kBase;; k += kBase) {
    const uint32_t digit = text.empty() ? kBase : Digit(text[0]);
    if (digit == kBase || weight > UINT32_MAX) return absl::nullopt;
    text.remove_prefix(1);
    number += digit * weight;
    const uint32_t threshold = k <= bias ? kMinimum : k - bias >= kMaximum ? kMaximum : k - bias;
    if (digit < threshold) return number;
    weight *= kBase - threshold;
  }
}

}  // namespace

bool AppendUtf8(uint32_t code, std::string& text) {
  if (code > kLastCode || (code >= 0xd800 && code < 0xe000)) return false;
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | ((code >> shift) & 0x3f)); };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xc0 | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xe0 | (code >> 12));
    tail(6);
    tail(0);
  } else {
    text += static_cast<char>(0xf0 | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
  return true;
}

absl::optional<std::string> DecodePunycode(absl::string_view text) {
  if (text.size() > kMaxPunycode) return absl::nullopt;
  std::vector<uint32_t> points;
  if (const size_t mark = text.rfind('_'); mark != absl::string_view::npos) {
    for (const char c : text.substr(0, mark)) points.push_back(static_cast<unsigned char>(c));
    text.remove_prefix(mark + 1);
  }
  uint64_t code = kFirstCode;
  uint64_t place = 0;
  uint32_t bias = kFirstBias;
  for (bool first = true; !text.empty(); first = false) {
    const absl::optional<uint64_t> delta = TakeNumber(text, bias);
    if (!delta.has_value()) return absl::nullopt;
    const uint64_t count = points.size() + 1;
    bias = Adapt(*delta, count, first);
    place += *delta;
    code += place / count;
    place %= count;
    if (code > kLastCode) return absl::nullopt;
    points.insert(points.begin() + static_cast<ptrdiff_t>(place), static_cast<uint32_t>(code));
    ++place;
  }
  std::string result;
  for (const uint32_t point : points) {
    if (!AppendUtf8(point, result)) return absl::nullopt;
  }
  return result;
}

}  // namespace flightrec::symbols
