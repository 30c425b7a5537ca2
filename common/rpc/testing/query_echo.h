// A QueryService that answers with what it was asked, for tests of what lies
// between client and handler. `ListRecordings` echoes page_token; the token
// "hold" waits until Release. Thread-safe.
#ifndef FLIGHTREC_COMMON_RPC_TESTING_QUERY_ECHO_H_
#define FLIGHTREC_COMMON_RPC_TESTING_QUERY_ECHO_H_

#include <grpcpp/grpcpp.h>

#include "absl/synchronization/notification.h"
#include "flightrec/query/v1/query.grpc.pb.h"

namespace flightrec::rpc {

inline constexpr char kQueryServiceName[] = "flightrec.query.v1.QueryService";

class QueryEcho final : public query::v1::QueryService::Service {
 public:
  grpc::Status ListRecordings(grpc::ServerContext* /*context*/,
                              const query::v1::ListRecordingsRequest* request,
                              query::v1::ListRecordingsResponse* response) override {
    if (request->page_token() == "hold") {
      held_.Notify();
      release_.WaitForNotification();
    }
    response->set_next_page_token(request->page_token());
    return grpc::Status::OK;
  }

  grpc::Status Sql(grpc::ServerContext* /*context*/, const query::v1::SqlRequest* /*request*/,
                   grpc::ServerWriter<query::v1::SqlResponse>* writer) override {
    query::v1::SqlResponse response;
    response.mutable_end()->set_rows(0);
    writer->Write(response);
    return grpc::Status::OK;
  }

  void WaitUntilHeld() { held_.WaitForNotification(); }
  void Release() { release_.Notify(); }

 private:
  absl::Notification held_;
  absl::Notification release_;
};

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_TESTING_QUERY_ECHO_H_
