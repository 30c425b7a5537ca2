#include "services/backend/backend_config.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/chunk/format.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {
namespace {

// Of a message around its batch, and of a batch around its only chunk.
constexpr int64_t kEnvelopeBytes = 64 << 10;
constexpr absl::Duration kMaxUndeleteWindow = absl::Hours(8760);
constexpr absl::Duration kMinRetentionInterval = absl::Milliseconds(100);
constexpr absl::Duration kMaxRetentionInterval = absl::Hours(24);

absl::Status OutOfRange(absl::string_view flag, int64_t value, absl::string_view range) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, "=", value, ": must be ", range));
}

absl::Status CheckLimits(const IngestLimits& limits, int64_t max_message_bytes) {
  if (limits.max_sessions < 1) return OutOfRange("max_sessions", limits.max_sessions, "at least 1");
  if (limits.max_recordings < 1) {
    return OutOfRange("max_recordings", limits.max_recordings, "at least 1");
  }
  const int64_t least = static_cast<int64_t>(chunk::kMaxChunkBytes) + kEnvelopeBytes;
  const int64_t most = max_message_bytes - kEnvelopeBytes;
  if (limits.max_batch_bytes < least || limits.max_batch_bytes > most) {
    return OutOfRange("max_batch_bytes", limits.max_batch_bytes,
                      absl::StrCat("from ", least, " (one chunk) to ", most,
                                   " (--max_message_bytes less its envelope)"));
  }
  if (limits.session_credit_bytes < limits.max_batch_bytes) {
    return OutOfRange("session_credit_bytes", limits.session_credit_bytes,
                      absl::StrCat("at least --max_batch_bytes=", limits.max_batch_bytes));
  }
  if (limits.max_bytes_in_flight < limits.session_credit_bytes) {
    return OutOfRange(
        "max_bytes_in_flight", limits.max_bytes_in_flight,
        absl::StrCat("at least --session_credit_bytes=", limits.session_credit_bytes));
  }
  return absl::OkStatus();
}

absl::Status CheckLimits(const ReadLimits& limits) {
  if (limits.max_tails < 0) return OutOfRange("max_tails", limits.max_tails, "at least 0");
  if (limits.max_tail_lag_chunks < 1) {
    return OutOfRange("max_tail_lag_chunks", limits.max_tail_lag_chunks, "at least 1");
  }
  return absl::OkStatus();
}

absl::Status CheckRetention(const RetentionLimits& limits) {
  const auto wrong = [](absl::string_view flag, absl::Duration value, absl::string_view range) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, "=", absl::FormatDuration(value), ": must be ", range));
  };
  if (limits.age < absl::ZeroDuration()) {
    return wrong("retention_age", limits.age, "a time such as 720h, or 0 for ever");
  }
  if (limits.bytes < 0) {
    return OutOfRange("retention_bytes", limits.bytes, "a number of bytes, or 0 for no limit");
  }
  if (limits.undelete_window < absl::ZeroDuration() ||
      limits.undelete_window > kMaxUndeleteWindow) {
    return wrong("undelete_window", limits.undelete_window, "from 0 to 8760h");
  }
  if (limits.interval < kMinRetentionInterval || limits.interval > kMaxRetentionInterval) {
    return wrong("retention_interval", limits.interval, "from 100ms to 24h");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FinalizedBackendConfig> Finalize(const BackendConfig& config) {
  if (config.store_directory.empty()) {
    return absl::InvalidArgumentError("--store: name a directory for the recordings");
  }
  absl::Status limits = CheckLimits(config.ingest, config.server.max_message_bytes);
  if (!limits.ok()) return limits;
  absl::Status retention = CheckRetention(config.retention);
  if (!retention.ok()) return retention;
  if (absl::Status read = CheckLimits(config.read); !read.ok()) return read;
  absl::StatusOr<rpc::FinalizedServerConfig> server = rpc::Finalize(config.server);
  if (!server.ok()) return server.status();
  for (const rpc::TokenEntry& token : server->tokens()) {
    if (token.tenant.size() > kMaxTenantBytes) {
      return absl::InvalidArgumentError(absl::StrCat("--token_file: tenant ", token.tenant, " has ",
                                                     token.tenant.size(), " bytes, the most is ",
                                                     kMaxTenantBytes));
    }
  }
  FinalizedBackendConfig result(*std::move(server));
  result.store_directory_ = config.store_directory;
  result.ingest_ = config.ingest;
  result.read_ = config.read;
  result.retention_ = config.retention;
  result.rollups_ = config.rollups;
  result.write_endpoint_file_ = config.write_endpoint_file;
  return result;
}

}  // namespace flightrec::backend
