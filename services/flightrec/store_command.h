// `flightrec fsck`, `backup`, `restore`, `delete`, `undelete` and `recordings --deleted`: what is
// done with a store as a whole, or with a recording in it. All but restore ask the process that
// owns the store, over gRPC. Single-threaded.

#ifndef SERVICES_FLIGHTREC_STORE_COMMAND_H_
#define SERVICES_FLIGHTREC_STORE_COMMAND_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "flightrec/admin/v1/admin.grpc.pb.h"
#include "flightrec/read/v1/read.grpc.pb.h"
#include "services/flightrec/command_line.h"
#include "services/flightrec/views.h"

namespace flightrec::cli {

using AdminStub = admin::v1::AdminService::StubInterface;
using ReadStub = read::v1::ReadService::StubInterface;

// A row for each damage; `damages` is how many.
absl::StatusOr<View> CheckStore(AdminStub& admin, uint64_t& damages);

// Writes the files of a store of its own, and a list of them with their checksums, into
// `directory`, which must be absent or empty. It has its name when it is complete.
absl::StatusOr<View> BackUpStore(AdminStub& admin, const std::string& directory);

// Copies a backup to `store`, which must be absent or empty, and verifies what it copies.
absl::StatusOr<View> RestoreStore(const std::string& directory, const std::string& store);

absl::StatusOr<View> DeleteRecording(ReadStub& read, const std::string& recording);
absl::StatusOr<View> UndeleteRecording(ReadStub& read, const std::string& recording);
// Those that can be brought back, newest first.
absl::StatusOr<View> DeletedRecordings(ReadStub& read, const CommandLine& line);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_STORE_COMMAND_H_
