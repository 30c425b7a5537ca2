// The streaming answers of ReadService, as reactors: one message under way at a time, no thread of
// their own.
//
// Each deletes itself when gRPC has let go of it. The store outlives them.
#ifndef SERVICES_BACKEND_READ_STREAMS_H_
#define SERVICES_BACKEND_READ_STREAMS_H_

#include <grpcpp/grpcpp.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/metrics/registry.h"
#include "flightrec/read/v1/read.pb.h"
#include "services/backend/resource_resolver.h"
#include "services/backend/store/store.h"

namespace flightrec::backend {

// Functions of one message, in bytes.
inline constexpr size_t kFunctionsMessageBytes = size_t{768} << 10;
inline constexpr size_t kFunctionsMessageItems = 10000;

// A stream that ends at once.
template <typename Response>
class FailedStream : public grpc::ServerWriteReactor<Response> {
 public:
  explicit FailedStream(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }
};

class FunctionsStream : public grpc::ServerWriteReactor<read::v1::StreamFunctionsResponse> {
 public:
  FunctionsStream(const Store& store, std::string tenant, const Resource& resource);

  void OnWriteDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  void WriteNext();

  const Store& store_;
  const std::string tenant_;
  const ids::Ulid recording_;
  std::string cursor_;
  read::v1::StreamFunctionsResponse response_;
};

class RollupsStream : public grpc::ServerWriteReactor<read::v1::StreamRollupsResponse> {
 public:
  RollupsStream(const Store& store, std::string tenant, const Resource& resource,
                uint64_t after_position);

  void OnWriteDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  void WriteNext();

  const Store& store_;
  const std::string tenant_;
  const ids::Ulid recording_;
  uint64_t position_;
  uint64_t rollups_ = 0;
  bool ended_ = false;
  read::v1::StreamRollupsResponse response_;
};

class ChunksStream : public grpc::ServerWriteReactor<read::v1::StreamChunksResponse> {
 public:
  struct Counters {
    metrics::Counter* chunks;
    metrics::Counter* bytes;
    metrics::Counter* pruned;
  };
  ChunksStream(ChunkCursor cursor, Counters counters);

  void OnWriteDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  void WriteNext();
  void WriteEnd();

  ChunkCursor cursor_;
  const Counters counters_;
  bool ended_ = false;
  uint64_t chunks_ = 0;
  uint64_t calls_ = 0;
  read::v1::StreamChunksResponse response_;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_READ_STREAMS_H_
