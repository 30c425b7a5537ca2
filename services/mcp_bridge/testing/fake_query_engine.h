// A QueryEngine that answers from memory. Set the answers, then call; requests
// are kept for inspection. Not thread-safe, except that `block` may be used to
// hold Overview until its call is cancelled.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_TESTING_FAKE_QUERY_ENGINE_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_TESTING_FAKE_QUERY_ENGINE_H_

#include <mutex>
#include <string>

#include "absl/synchronization/notification.h"
#include "services/mcp_bridge/query/query_engine.h"

namespace flightrec::mcp_bridge {

class FakeQueryEngine : public QueryEngine {
 public:
  absl::StatusOr<query::v1::ListRecordingsResponse> ListRecordings(
      const query::v1::ListRecordingsRequest& /*request*/, Cancellation& /*c*/) override {
    return recordings;
  }
  absl::StatusOr<query::v1::OverviewResponse> Overview(const query::v1::OverviewRequest& request,
                                                       Cancellation& cancellation) override;
  absl::StatusOr<query::v1::ListFunctionsResponse> ListFunctions(
      const query::v1::ListFunctionsRequest& request, Cancellation& /*c*/) override {
    functions_request = request;
    return functions;
  }
  absl::StatusOr<query::v1::CallTreeResponse> CallTree(const query::v1::CallTreeRequest& request,
                                                       Cancellation& /*c*/) override {
    tree_request = request;
    return tree;
  }
  absl::StatusOr<SqlAnswer> Sql(const query::v1::SqlRequest& request,
                                Cancellation& /*c*/) override {
    sql_request = request;
    return sql;
  }

  // Adds "recordings/{id}", sealed.
  void AddRecording(const std::string& id);
  // Adds a function with `calls` calls of 10 ns each.
  void AddFunction(const std::string& name, uint64_t calls);
  void AddNode(uint64_t path, uint64_t parent, int depth, const std::string& name,
               uint64_t total_ns);

  query::v1::ListRecordingsResponse recordings;
  absl::StatusOr<query::v1::OverviewResponse> overview = query::v1::OverviewResponse();
  query::v1::ListFunctionsResponse functions;
  absl::StatusOr<query::v1::CallTreeResponse> tree = query::v1::CallTreeResponse();
  absl::StatusOr<SqlAnswer> sql = SqlAnswer();

  query::v1::ListFunctionsRequest functions_request;
  query::v1::CallTreeRequest tree_request;
  query::v1::SqlRequest sql_request;

  bool block = false;
  absl::Notification blocked;

 private:
  std::once_flag blocked_once_;
};

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_TESTING_FAKE_QUERY_ENGINE_H_
