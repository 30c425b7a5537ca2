// `flightrec tail`: a line for each chunk of a recording, as it becomes durable, until the
// recording is sealed. Single-threaded.

#ifndef SERVICES_FLIGHTREC_TAIL_COMMAND_H_
#define SERVICES_FLIGHTREC_TAIL_COMMAND_H_

#include <iosfwd>

#include "absl/status/status.h"
#include "flightrec/read/v1/read.grpc.pb.h"
#include "services/flightrec/command_line.h"

namespace flightrec::cli {

// Rows go to `rows`, flushed one by one; what was skipped and the totals to `notes`. Ends after
// --limit chunks if that is given. NOT_FOUND: there is no such recording.
absl::Status Tail(read::v1::ReadService::StubInterface& read, const CommandLine& line,
                  std::ostream& rows, std::ostream& notes);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_TAIL_COMMAND_H_
