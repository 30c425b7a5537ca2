// Calls a method by name with bytes that are already encoded: how tests talk to
// health, reflection and channelz, whose protos are not part of this project.
// Blocking; from any thread.
#ifndef FLIGHTREC_COMMON_RPC_TESTING_RAW_CALL_H_
#define FLIGHTREC_COMMON_RPC_TESTING_RAW_CALL_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

namespace flightrec::rpc {

struct RawAnswer {
  grpc::Status status;
  // The first message.
  std::string bytes;
};

RawAnswer RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                  const std::string& request);

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_TESTING_RAW_CALL_H_
