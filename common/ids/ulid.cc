#include "common/ids/ulid.h"

#include <algorithm>

#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace flightrec::ids {
namespace {

constexpr absl::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr size_t kTimeBytes = 6;

absl::Status Malformed(absl::string_view text, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("\"", absl::CHexEscape(text.substr(0, 64)),
                                                 "\" is not a recording id: ", reason));
}

Ulid::Bytes FromMillisAndRandom(int64_t millis, uint16_t high, uint64_t low) {
  Ulid::Bytes bytes;
  for (size_t i = 0; i < kTimeBytes; ++i) {
    bytes[i] = static_cast<uint8_t>(millis >> (8 * (kTimeBytes - 1 - i)));
  }
  bytes[6] = static_cast<uint8_t>(high >> 8);
  bytes[7] = static_cast<uint8_t>(high);
  for (size_t i = 0; i < 8; ++i) {
    bytes[8 + i] = static_cast<uint8_t>(low >> (8 * (7 - i)));
  }
  return bytes;
}

Ulid PlusOne(const Ulid& ulid) {
  Ulid::Bytes bytes = ulid.bytes();
  for (size_t i = bytes.size(); i-- > 0;) {
    if (++bytes[i] != 0) break;
  }
  return Ulid(bytes);
}

}  // namespace

absl::StatusOr<Ulid> Ulid::Parse(absl::string_view text) {
  if (text.size() != kTextLength) {
    return Malformed(text,
                     absl::StrCat("it has ", text.size(), " characters, expected ", kTextLength));
  }
  if (text[0] > '7') {
    return Malformed(text, "it starts above 7, the largest for 128 bits");
  }
  Bytes bytes{};
  for (const char c : text) {
    const size_t digit = kAlphabet.find(c);
    if (digit == absl::string_view::npos) {
      return Malformed(text, absl::StrCat("character '", absl::CHexEscape(absl::string_view(&c, 1)),
                                          "' is not one of ", kAlphabet));
    }
    unsigned carry = static_cast<unsigned>(digit);
    for (size_t i = bytes.size(); i-- > 0;) {
      const unsigned wide = unsigned{bytes[i]} << 5 | carry;
      bytes[i] = static_cast<uint8_t>(wide);
      carry = wide >> 8;
    }
  }
  return Ulid(bytes);
}

std::string Ulid::ToString() const {
  // 26 digits hold 130 bits: the first one starts 2 bits before the value.
  std::string text(kTextLength, '0');
  for (size_t i = 0; i < kTextLength; ++i) {
    unsigned digit = 0;
    for (size_t k = 0; k < 5; ++k) {
      const size_t bit = 5 * i + k;
      const bool set = bit >= 2 && (bytes_[(bit - 2) / 8] >> (7 - (bit - 2) % 8) & 1) != 0;
      digit = digit << 1 | (set ? 1u : 0u);
    }
    text[i] = kAlphabet[digit];
  }
  return text;
}

absl::Time Ulid::time() const {
  int64_t millis = 0;
  for (size_t i = 0; i < kTimeBytes; ++i) millis = millis << 8 | bytes_[i];
  return absl::FromUnixMillis(millis);
}

Ulid UlidGenerator::Generate() {
  const int64_t millis = std::max<int64_t>(absl::ToUnixMillis(clock_.Now()), 0);
  absl::MutexLock lock(&mutex_);
  if (absl::FromUnixMillis(millis) <= last_.time()) {
    last_ = PlusOne(last_);
  } else {
    last_ = Ulid(FromMillisAndRandom(millis, absl::Uniform<uint16_t>(random_),
                                     absl::Uniform<uint64_t>(random_)));
  }
  return last_;
}

}  // namespace flightrec::ids
