// Who listens on TCP ports of this machine, from /proc. Nothing is connected to. Stateless,
// thread-safe.

#ifndef SERVICES_FLIGHTREC_LISTENING_PORTS_H_
#define SERVICES_FLIGHTREC_LISTENING_PORTS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace flightrec::cli {

// `text`: /proc/net/tcp or tcp6. The socket's inode by port, of sockets that listen.
std::map<int, uint64_t> ParseListeningSockets(absl::string_view text);

struct PortHolder {
  std::string label;  // "1234 (nginx)"; empty: nobody
  bool ours = false;  // a process of flightrec
};
// Listeners of other users without the right to see them are "another user's process".
PortHolder FindPortHolder(int port);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_LISTENING_PORTS_H_
