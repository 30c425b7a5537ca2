#include "common/rpc/status.h"

#include <gtest/gtest.h>

namespace flightrec::rpc {
namespace {

absl::Status AcrossTheWire(const absl::Status& status) {
  return FromGrpcStatus(ToGrpcStatus(status));
}

TEST(Status, ok__stays_ok) { EXPECT_TRUE(AcrossTheWire(absl::OkStatus()).ok()); }

TEST(Status, plain_error__keeps_code_and_message_and_adds_no_details) {
  const grpc::Status wire = ToGrpcStatus(absl::NotFoundError("no x"));
  EXPECT_EQ(wire.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(wire.error_message(), "no x");
  EXPECT_EQ(wire.error_details(), "");
}

TEST(Status, invalid_field__travels_as_a_bad_request) {
  const absl::Status status = AcrossTheWire(InvalidField("page_size", "must be 1..1000, got -1"));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "page_size: must be 1..1000, got -1");
  const ErrorDetails details = DetailsOf(status);
  ASSERT_EQ(details.fields.size(), 1u);
  EXPECT_EQ(details.fields[0].field, "page_size");
  EXPECT_EQ(details.fields[0].description, "must be 1..1000, got -1");
}

TEST(Status, reason_and_retry__travel_together) {
  const absl::Status status = AcrossTheWire(
      WithRetryAfter(WithReason(absl::UnavailableError("full"), "STORE_FULL", "free some space"),
                     absl::Milliseconds(1500)));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "full; free some space");
  const ErrorDetails details = DetailsOf(status);
  EXPECT_EQ(details.reason, "STORE_FULL");
  EXPECT_EQ(details.next_step, "free some space");
  EXPECT_EQ(details.retry_after, absl::Milliseconds(1500));
}

TEST(Status, not_built_yet__says_so) {
  const absl::Status status = NotBuiltYet("QueryService.Export");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(DetailsOf(status).reason, "NOT_BUILT_YET");
}

TEST(Status, long_message__is_cut_for_the_header) {
  EXPECT_EQ(ToGrpcStatus(absl::InternalError(std::string(10000, 'x'))).error_message().size(),
            kMaxStatusMessageBytes);
}

TEST(Status, details_that_are_not_ours__are_ignored) {
  const absl::Status status =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::ABORTED, "x", "\xff\xff"));
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(DetailsOf(status).reason, "");
}

}  // namespace
}  // namespace flightrec::rpc
