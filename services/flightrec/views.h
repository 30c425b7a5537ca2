// The answers of the query engine as tables: one function a command. They ask over gRPC like any
// other client and know nothing of where the engine runs. Thread-safe: no state.

#ifndef SERVICES_FLIGHTREC_VIEWS_H_
#define SERVICES_FLIGHTREC_VIEWS_H_

#include <string>

#include "absl/status/statusor.h"
#include "flightrec/query/v1/query.grpc.pb.h"
#include "services/flightrec/command_line.h"
#include "services/flightrec/table.h"

namespace flightrec::cli {

using QueryStub = query::v1::QueryService::StubInterface;

struct View {
  Table table;
  // For people, before and after the table; empty for programs.
  std::string heading;
  // What is missing from the recording, one sentence a line.
  std::string footnote;
};

// "@latest" or "01J..." as a resource name.
std::string RecordingName(const std::string& recording);

// RECORDING_STATE_SEALED is "SEALED".
std::string StateWord(trace::v1::RecordingState state);

absl::StatusOr<View> Report(QueryStub& query, const CommandLine& line);
absl::StatusOr<View> Tree(QueryStub& query, const CommandLine& line);
absl::StatusOr<View> Sql(QueryStub& query, const CommandLine& line);
absl::StatusOr<View> Recordings(QueryStub& query, const CommandLine& line);

// What a completeness says to a person; empty when nothing is missing.
std::string DescribeCompleteness(const trace::v1::Completeness& completeness);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_VIEWS_H_
