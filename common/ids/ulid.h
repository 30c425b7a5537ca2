// Recording ids: ULIDs, 48 bits of milliseconds since the epoch and 80 random
// bits, printed as 26 characters of Crockford's base 32. Printed and binary
// forms sort by time.
//
// Ulid is a value; UlidGenerator is thread-safe. Does not keep order between
// generators of different processes within one millisecond.
#ifndef COMMON_IDS_ULID_H_
#define COMMON_IDS_ULID_H_

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/random/bit_gen_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"

namespace flightrec::ids {

class Ulid {
 public:
  static constexpr size_t kTextLength = 26;
  static constexpr size_t kBytes = 16;
  using Bytes = std::array<uint8_t, kBytes>;

  // All zero: no recording.
  constexpr Ulid() = default;
  explicit constexpr Ulid(const Bytes& bytes) : bytes_(bytes) {}

  // Upper case only, as we print it: one recording has one name.
  // INVALID_ARGUMENT with the text and what is wrong with it.
  static absl::StatusOr<Ulid> Parse(absl::string_view text);

  std::string ToString() const;
  absl::Time time() const;

  // Big-endian.
  const Bytes& bytes() const { return bytes_; }

  auto operator<=>(const Ulid&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const Ulid& ulid) {
    return H::combine(std::move(h), ulid.bytes_);
  }

 private:
  Bytes bytes_{};
};

class UlidGenerator {
 public:
  // `clock` and `random` must outlive the generator; `random` is used under the
  // generator's lock only.
  UlidGenerator(clock::Clock& clock, absl::BitGenRef random) : clock_(clock), random_(random) {}

  // Larger than every Ulid made by this generator before, also within one
  // millisecond and when the clock steps back (then the previous one plus 1).
  Ulid Generate();

 private:
  clock::Clock& clock_;
  absl::Mutex mutex_;
  absl::BitGenRef random_ ABSL_GUARDED_BY(mutex_);
  Ulid last_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace flightrec::ids

#endif  // COMMON_IDS_ULID_H_
