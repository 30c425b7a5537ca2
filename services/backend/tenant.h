// Whose keys a call may see: the tenant of its token.
//
// Thread-safe: pure functions.
#ifndef SERVICES_BACKEND_TENANT_H_
#define SERVICES_BACKEND_TENANT_H_

#include <grpcpp/grpcpp.h>

#include <string>

#include "common/rpc/authenticator.h"

namespace flightrec::backend {

// kDefaultTenant for callers without a token and for tokens without a tenant.
std::string TenantOf(const rpc::Authenticator& authenticator,
                     const grpc::ServerContextBase& context);

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_TENANT_H_
