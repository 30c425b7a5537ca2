// Errors on the wire: absl::Status in our code, grpc::Status with google.rpc
// details between processes. Details travel inside absl::Status as payloads,
// so domain code that holds one loses nothing. Stateless functions.
//
//   return InvalidField("page_size", "must be 1..1000, got 0");
//   return WithReason(absl::NotFoundError(...), "RECORDING_NOT_FOUND",
//                     "list them: flightrec recordings");
#ifndef FLIGHTREC_COMMON_RPC_STATUS_H_
#define FLIGHTREC_COMMON_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace flightrec::rpc {

// ErrorInfo.domain of every error we make.
inline constexpr absl::string_view kErrorDomain = "flightrec";
// gRPC carries statuses in a header of bounded size; longer messages are cut.
inline constexpr size_t kMaxStatusMessageBytes = 4096;

// INVALID_ARGUMENT "FIELD: DESCRIPTION" with a BadRequest field violation.
absl::Status InvalidField(absl::string_view field, absl::string_view description);

// Adds an ErrorInfo: `reason` in UPPER_SNAKE_CASE, `next_step` a command or
// sentence (metadata key "next_step"), also appended to the message.
absl::Status WithReason(absl::Status status, absl::string_view reason, absl::string_view next_step);

// Adds a RetryInfo.
absl::Status WithRetryAfter(absl::Status status, absl::Duration delay);

// UNIMPLEMENTED that says the method is part of the contract, not built yet.
absl::Status NotBuiltYet(absl::string_view method);

// The details of a status, as set above or received. Empty when absent.
struct ErrorDetails {
  std::string reason;
  std::string next_step;
  struct FieldViolation {
    std::string field;
    std::string description;
  };
  std::vector<FieldViolation> fields;
  // Zero when absent.
  absl::Duration retry_after;
};
ErrorDetails DetailsOf(const absl::Status& status);

grpc::Status ToGrpcStatus(const absl::Status& status);
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_STATUS_H_
