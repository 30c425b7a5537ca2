// Carries an MCP session over two file descriptors: a message a line. Blocking;
// one thread. Lines longer than kMaxMessageBytes are answered with an error and
// skipped. Does not own the descriptors.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_STDIO_LINE_LOOP_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_STDIO_LINE_LOOP_H_

#include "absl/status/status.h"
#include "services/mcp_bridge/tools/catalog.h"

namespace flightrec::mcp_bridge {

// Until `in` ends and every call is answered. UNAVAILABLE when `out` is closed
// before.
absl::Status RunLineLoop(const Catalog& catalog, int in, int out);

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_STDIO_LINE_LOOP_H_
