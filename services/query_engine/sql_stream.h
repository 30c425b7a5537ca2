// An SQL answer as frames of a gRPC stream, each below 1 MiB.
//
// For the thread of one request.
#ifndef SERVICES_QUERY_ENGINE_SQL_STREAM_H_
#define SERVICES_QUERY_ENGINE_SQL_STREAM_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/sync_stream.h>

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "flightrec/query/v1/sql.pb.h"
#include "services/query_engine/engine/user_query.h"

namespace flightrec::query_engine {

class SqlStream final : public RowSink {
 public:
  // A frame is sent when its rows reach this; one row may be as large as
  // kMaxRowBytes, so that a frame stays below 1 MiB.
  static constexpr size_t kFrameBytes = size_t{256} << 10;
  static constexpr size_t kMaxRowBytes = size_t{700} << 10;

  // `writer` outlives the stream.
  explicit SqlStream(grpc::ServerWriter<query::v1::SqlResponse>& writer) : writer_(writer) {}

  absl::Status TakeColumns(const std::vector<Column>& columns) override;
  // RESOURCE_EXHAUSTED for a row above kMaxRowBytes.
  absl::Status TakeRows(std::vector<Row> rows) override;
  absl::Status End(const UserQueryTotals& totals, const trace::v1::Completeness& completeness);

 private:
  absl::Status Flush();
  absl::Status Write(const query::v1::SqlResponse& response);

  grpc::ServerWriter<query::v1::SqlResponse>& writer_;
  query::v1::SqlResponse pending_;
  size_t pending_bytes_ = 0;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_SQL_STREAM_H_
