#include "services/backend/tenant.h"

#include <utility>

#include "services/backend/store/keys.h"

namespace flightrec::backend {

std::string TenantOf(const rpc::Authenticator& authenticator,
                     const grpc::ServerContextBase& context) {
  std::string tenant = authenticator.Identify(context).tenant;
  return tenant.empty() ? std::string(kDefaultTenant) : std::move(tenant);
}

}  // namespace flightrec::backend
