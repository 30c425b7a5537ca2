#include "services/flightrec/tail_command.h"

#include <grpcpp/grpcpp.h>

#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "common/chunk/codec.h"
#include "common/clock/calibration.h"
#include "common/ids/hex16.h"
#include "common/rpc/status.h"
#include "services/flightrec/table.h"
#include "services/flightrec/views.h"

namespace flightrec::cli {
namespace {

// What a chunk says without being decoded.
std::string Row(const read::v1::StoredChunk& stored, const chunk::ChunkHeader& header,
                OutputFormat format) {
  const std::string thread = ids::Hex16(header.thread_id);
  const size_t bytes = stored.chunk().data().size();
  const int64_t end_ns =
      header.call_count == 0 ? 0 : clock::ToEpochNs(header.calibration, header.max_end_ticks);
  switch (format) {
    case OutputFormat::kTsv:
      return absl::StrCat(stored.position(), "\t", thread, "\t", header.tid, "\t",
                          header.call_count, "\t", header.lost_before_total, "\t", bytes, "\t",
                          end_ns, "\n");
    case OutputFormat::kJson:
      return absl::StrCat("{\"position\": ", stored.position(), ", \"thread\": \"", thread,
                          "\", \"tid\": ", header.tid, ", \"calls\": ", header.call_count,
                          ", \"lost\": ", header.lost_before_total, ", \"bytes\": ", bytes,
                          ", \"end_ns\": ", end_ns, "}\n");
    case OutputFormat::kTable:
      break;
  }
  return absl::StrFormat(
      "%8d  %s  %8d %10s %8s %9s  %s\n", stored.position(), thread, header.tid,
      GroupDigits(header.call_count), GroupDigits(header.lost_before_total), GroupDigits(bytes),
      header.call_count == 0
          ? "-"
          : absl::FormatTime("%H:%M:%E3S", absl::FromUnixNanos(end_ns), absl::LocalTimeZone()));
}

std::string Heading(OutputFormat format) {
  switch (format) {
    case OutputFormat::kTsv:
      return "position\tthread\ttid\tcalls\tlost\tbytes\tend_ns\n";
    case OutputFormat::kJson:
      return "";
    case OutputFormat::kTable:
      break;
  }
  return absl::StrFormat("%8s  %-16s  %8s %10s %8s %9s  %s\n", "position", "thread", "tid", "calls",
                         "lost", "bytes", "last call ended");
}

absl::Status PrintChunk(const read::v1::StoredChunk& stored, OutputFormat format,
                        std::ostream& rows) {
  absl::StatusOr<chunk::ChunkHeader> header = chunk::DecodeHeader(stored.chunk().data());
  if (!header.ok()) return header.status();
  rows << Row(stored, *header, format) << std::flush;
  return rows.good() ? absl::OkStatus() : absl::UnavailableError("the output was closed");
}

}  // namespace

absl::Status Tail(read::v1::ReadService::StubInterface& read, const CommandLine& line,
                  std::ostream& rows, std::ostream& notes) {
  grpc::ClientContext context;
  read::v1::TailChunksRequest request;
  request.set_parent(RecordingName(line.recording));
  const auto reader = read.TailChunks(&context, request);
  rows << Heading(line.output) << std::flush;
  read::v1::TailChunksResponse frame;
  int64_t chunks = 0;
  while (reader->Read(&frame)) {
    if (frame.has_gap()) {
      notes << "positions " << frame.gap().first_position() << " to " << frame.gap().last_position()
            << " were skipped: too slow to follow\n";
    } else if (frame.has_end()) {
      notes << GroupDigits(frame.end().calls()) << " calls in " << GroupDigits(frame.end().chunks())
            << " chunks; the recording is complete\n";
    } else if (frame.has_chunk()) {
      absl::Status printed = PrintChunk(frame.chunk(), line.output, rows);
      if (!printed.ok() || ++chunks == line.limit) {
        context.TryCancel();
        reader->Finish();
        return printed;
      }
    }
  }
  return rpc::FromGrpcStatus(reader->Finish());
}

}  // namespace flightrec::cli
