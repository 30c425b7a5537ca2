// The printed form of 64-bit ids: 16 lower-case hex digits.
//
// Thread-safe: pure functions. Does not accept shorter or upper-case forms, so
// that one id has one name.
#ifndef COMMON_IDS_HEX16_H_
#define COMMON_IDS_HEX16_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flightrec::ids {

std::string Hex16(uint64_t id);

// INVALID_ARGUMENT with the text.
absl::StatusOr<uint64_t> ParseHex16(absl::string_view text);

}  // namespace flightrec::ids

#endif  // COMMON_IDS_HEX16_H_
