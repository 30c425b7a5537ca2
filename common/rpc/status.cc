#include "common/rpc/status.h"

#include <google/protobuf/any.pb.h>

#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace flightrec::rpc {
namespace {

constexpr absl::string_view kTypePrefix = "type.googleapis.com/google.rpc.";
constexpr char kNextStepKey[] = "next_step";

template <typename Message>
std::string TypeUrl() {
  return absl::StrCat("type.googleapis.com/", Message::descriptor()->full_name());
}

template <typename Message>
void Attach(absl::Status& status, const Message& message) {
  status.SetPayload(TypeUrl<Message>(), absl::Cord(message.SerializeAsString()));
}

template <typename Message>
std::optional<Message> Detach(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(TypeUrl<Message>());
  Message message;
  if (!payload || !message.ParseFromString(std::string(*payload))) {
    return std::nullopt;
  }
  return message;
}

// SetPayload keeps payloads but nothing changes a message in place.
absl::Status WithMessage(const absl::Status& status, absl::string_view message) {
  absl::Status result(status.code(), message);
  status.ForEachPayload([&result](absl::string_view type, const absl::Cord& payload) {
    result.SetPayload(type, payload);
  });
  return result;
}

}  // namespace

absl::Status InvalidField(absl::string_view field, absl::string_view description) {
  absl::Status status = absl::InvalidArgumentError(absl::StrCat(field, ": ", description));
  google::rpc::BadRequest details;
  google::rpc::BadRequest::FieldViolation* violation = details.add_field_violations();
  violation->set_field(std::string(field));
  violation->set_description(std::string(description));
  Attach(status, details);
  return status;
}

absl::Status WithReason(absl::Status status, absl::string_view reason,
                        absl::string_view next_step) {
  if (status.ok()) return status;
  google::rpc::ErrorInfo details;
  details.set_reason(std::string(reason));
  details.set_domain(std::string(kErrorDomain));
  if (!next_step.empty()) {
    (*details.mutable_metadata())[kNextStepKey] = std::string(next_step);
    status = WithMessage(status, absl::StrCat(status.message(), "; ", next_step));
  }
  Attach(status, details);
  return status;
}

absl::Status WithRetryAfter(absl::Status status, absl::Duration delay) {
  if (status.ok()) return status;
  google::rpc::RetryInfo details;
  const int64_t seconds = absl::IDivDuration(delay, absl::Seconds(1), &delay);
  details.mutable_retry_delay()->set_seconds(seconds);
  details.mutable_retry_delay()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(delay)));
  Attach(status, details);
  return status;
}

absl::Status NotBuiltYet(absl::string_view method) {
  return WithReason(
      absl::UnimplementedError(absl::StrCat(method, " is part of the contract and not built yet")),
      "NOT_BUILT_YET", "services/README.md lists what is built");
}

ErrorDetails DetailsOf(const absl::Status& status) {
  ErrorDetails result;
  if (const auto info = Detach<google::rpc::ErrorInfo>(status)) {
    result.reason = info->reason();
    const auto next = info->metadata().find(kNextStepKey);
    if (next != info->metadata().end()) result.next_step = next->second;
  }
  if (const auto bad = Detach<google::rpc::BadRequest>(status)) {
    for (const auto& violation : bad->field_violations()) {
      result.fields.push_back({violation.field(), violation.description()});
    }
  }
  if (const auto retry = Detach<google::rpc::RetryInfo>(status)) {
    result.retry_after = absl::Seconds(retry->retry_delay().seconds()) +
                         absl::Nanoseconds(retry->retry_delay().nanos());
  }
  return result;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message(status.message().substr(0, kMaxStatusMessageBytes));
  google::rpc::Status wire;
  wire.set_code(static_cast<int>(code));
  wire.set_message(message);
  status.ForEachPayload([&wire](absl::string_view type, const absl::Cord& payload) {
    if (!absl::ConsumePrefix(&type, kTypePrefix)) return;
    google::protobuf::Any* detail = wire.add_details();
    detail->set_type_url(absl::StrCat(kTypePrefix, type));
    detail->set_value(std::string(payload));
  });
  if (wire.details().empty()) return grpc::Status(code, message);
  return grpc::Status(code, message, wire.SerializeAsString());
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status wire;
  if (wire.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& detail : wire.details()) {
      result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  return result;
}

}  // namespace flightrec::rpc
