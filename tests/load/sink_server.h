// A gRPC server that takes the frames of an ingest session, counts them and forgets them: what gRPC
// alone can do with the same bytes. Answers as a backend would whose disk is infinitely fast.
//
// Serves until the object goes. Does not parse what it takes.
#ifndef TESTS_LOAD_SINK_SERVER_H_
#define TESTS_LOAD_SINK_SERVER_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

namespace flightrec::load {

class SinkServer {
 public:
  // `address`: host:port. Aborts the program when it is taken.
  explicit SinkServer(const std::string& address);
  ~SinkServer();

 private:
  class Service : public grpc::CallbackGenericService {
    grpc::ServerGenericBidiReactor* CreateReactor(
        grpc::GenericCallbackServerContext* context) override;
  };

  Service service_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace flightrec::load

#endif  // TESTS_LOAD_SINK_SERVER_H_
