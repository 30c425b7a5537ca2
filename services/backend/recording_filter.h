// The filter of ListRecordings: `state = NAME`, or nothing.
//
// Thread-safe: pure functions. No other field, operator or combination yet.
#ifndef SERVICES_BACKEND_RECORDING_FILTER_H_
#define SERVICES_BACKEND_RECORDING_FILTER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/backend/store/store.h"

namespace flightrec::backend {

// INVALID_ARGUMENT says what was read and what may be written.
absl::StatusOr<Store::RecordingFilter> ParseRecordingFilter(absl::string_view text);

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_RECORDING_FILTER_H_
