#include "services/backend/admin_service.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/chunk/crc32c.h"
#include "common/rpc/status.h"
#include "services/backend/read_streams.h"
#include "services/backend/store/integrity.h"

namespace flightrec::backend {
namespace {

constexpr absl::Duration kRetryAfterRefusal = absl::Seconds(10);
// Directories in the store's own, so that files can be linked; RocksDB adds .tmp until one is
// whole.
constexpr char kCheckpointSuffix[] = ".checkpoint";

absl::Status Cancelled() { return absl::CancelledError("the caller has gone"); }

absl::StatusOr<std::vector<std::string>> FileNames(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    names.push_back(entry.path().filename().string());
  }
  if (error) return absl::UnavailableError(absl::StrCat(directory, ": ", error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status SendFile(const std::string& directory, const std::string& name,
                      BlockingStream<admin::v1::BackUpStoreResponse>& stream,
                      admin::v1::BackUpEnd& end) {
  std::ifstream file(absl::StrCat(directory, "/", name), std::ios::binary);
  uint64_t bytes = 0;
  uint32_t checksum = 0;
  std::string data(kBackUpMessageBytes, '\0');
  while (file.read(data.data(), static_cast<std::streamsize>(data.size())) || file.gcount() > 0) {
    const absl::string_view part(data.data(), static_cast<size_t>(file.gcount()));
    admin::v1::BackUpStoreResponse response;
    response.mutable_data()->set_data(part.data(), part.size());
    if (!stream.Write(response)) return Cancelled();
    bytes += part.size();
    checksum = chunk::ExtendCrc32c(checksum, part);
  }
  if (!file.eof()) return absl::UnavailableError(absl::StrCat("cannot read ", name));
  admin::v1::BackUpStoreResponse response;
  response.mutable_file_end()->set_name(name);
  response.mutable_file_end()->set_bytes(bytes);
  response.mutable_file_end()->set_checksum(checksum);
  if (!stream.Write(response)) return Cancelled();
  end.set_files(end.files() + 1);
  end.set_bytes(end.bytes() + bytes);
  return absl::OkStatus();
}

}  // namespace

AdminService::AdminService(Store& store, const rpc::Authenticator& authenticator,
                           log::Logger& logger, metrics::Registry& registry)
    : store_(store),
      authenticator_(authenticator),
      logger_(logger),
      damages_(registry.AddCounter("flightrec_backend_damages_found_total",
                                   "Damages that checks of the store have reported.")),
      backups_(registry.AddCounter("flightrec_backend_backups_total", "Backups made.")) {
  // Of a process that was killed while it made a backup.
  const std::string& directory = store.database().directory();
  absl::StatusOr<std::vector<std::string>> names = FileNames(directory);
  if (!names.ok()) return;
  std::error_code ignored;
  for (const std::string& name : *names) {
    if (!absl::StrContains(name, kCheckpointSuffix)) continue;
    std::filesystem::remove_all(absl::StrCat(directory, "/", name), ignored);
  }
}

template <typename Response>
grpc::ServerWriteReactor<Response>* AdminService::Run(
    grpc::CallbackServerContext* context, const char* call,
    std::function<absl::Status(BlockingStream<Response>&)> body) {
  const std::string peer = context->peer();
  const std::string tenant = authenticator_.Identify(*context).tenant;
  if (!tenant.empty()) {
    logger_.Warning("admin_call_refused", {{"call", call}, {"peer", peer}, {"tenant", tenant}});
    return new FailedStream<Response>(rpc::ToGrpcStatus(absl::PermissionDeniedError(
        absl::StrCat(call, " is about the recordings of all tenants, and this token is of tenant ",
                     tenant, "; use a token with the role admin and no tenant"))));
  }
  absl::MutexLock lock(&mutex_);
  if (running_ >= kMaxAdminCalls) {
    logger_.Warning("admin_call_refused", {{"call", call}, {"peer", peer}});
    return new FailedStream<Response>(rpc::ToGrpcStatus(
        rpc::WithRetryAfter(absl::ResourceExhaustedError(absl::StrCat(
                                "at most ", kMaxAdminCalls, " checks and backups at once")),
                            kRetryAfterRefusal)));
  }
  ++running_;
  logger_.Info("admin_call", {{"call", call}, {"peer", peer}});
  return new BlockingStream<Response>(
      [this, call, peer, body = std::move(body)](BlockingStream<Response>& stream) {
        const absl::Status status = body(stream);
        logger_.Info("admin_call_ended", {{"call", call}, {"peer", peer}, {"status", status}});
        return status;
      },
      [this] {
        absl::MutexLock lock(&mutex_);
        --running_;
      });
}

grpc::ServerWriteReactor<admin::v1::CheckStoreResponse>* AdminService::CheckStore(
    grpc::CallbackServerContext* context, const admin::v1::CheckStoreRequest* /*request*/) {
  return Run<admin::v1::CheckStoreResponse>(context, "CheckStore",
                                            [this](CheckStream& stream) { return Check(stream); });
}

absl::Status AdminService::Check(CheckStream& stream) {
  IntegrityScan scan(store_.database(), [this, &stream](const StoreDamage& damage) {
    damages_.Add();
    logger_.Error("damage_found", {{"tenant", damage.tenant},
                                   {"recording", damage.recording},
                                   {"position", damage.position},
                                   {"family", damage.family},
                                   {"problem", damage.problem}});
    admin::v1::CheckStoreResponse response;
    admin::v1::Damage& found = *response.mutable_damage();
    found.set_tenant(damage.tenant);
    found.set_recording(damage.recording);
    found.set_position(damage.position);
    found.set_family(damage.family);
    found.set_problem(damage.problem);
    return stream.Write(response);
  });
  while (scan.Step()) {
    if (stream.IsCancelled()) return Cancelled();
  }
  if (stream.IsCancelled()) return Cancelled();
  admin::v1::CheckStoreResponse response;
  admin::v1::CheckEnd& end = *response.mutable_end();
  end.set_recordings(scan.totals().recordings);
  end.set_chunks(scan.totals().chunks);
  end.set_chunk_bytes(scan.totals().chunk_bytes);
  end.set_damages(scan.totals().damages);
  return stream.Write(response) ? absl::OkStatus() : Cancelled();
}

grpc::ServerWriteReactor<admin::v1::BackUpStoreResponse>* AdminService::BackUpStore(
    grpc::CallbackServerContext* context, const admin::v1::BackUpStoreRequest* /*request*/) {
  return Run<admin::v1::BackUpStoreResponse>(
      context, "BackUpStore", [this](BackUpStream& stream) { return BackUp(stream); });
}

std::string AdminService::NewCheckpointDirectory() {
  absl::MutexLock lock(&mutex_);
  return absl::StrCat(std::filesystem::absolute(store_.database().directory()).string(), "/",
                      ++checkpoints_, kCheckpointSuffix);
}

absl::Status AdminService::BackUp(BackUpStream& stream) {
  const std::string directory = NewCheckpointDirectory();
  const absl::Cleanup remove = [&directory] {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  };
  if (absl::Status status = store_.MakeCheckpoint(directory); !status.ok()) return status;
  absl::StatusOr<std::vector<std::string>> names = FileNames(directory);
  if (!names.ok()) return names.status();
  admin::v1::BackUpStoreResponse response;
  admin::v1::BackUpEnd end;
  for (const std::string& name : *names) {
    if (absl::Status sent = SendFile(directory, name, stream, end); !sent.ok()) return sent;
  }
  *response.mutable_end() = end;
  if (!stream.Write(response)) return Cancelled();
  backups_.Add();
  return absl::OkStatus();
}

}  // namespace flightrec::backend
