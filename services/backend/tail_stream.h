// One reader of TailChunks: gives a recording's chunks as they become durable, as a reactor.
//
// One message under way at a time, whatever the reader does: its buffer is the store. Waits without
// a thread; reads on gRPC's threads and on that of the CommitWatch. Deletes itself when gRPC has
// let go of it.
#ifndef SERVICES_BACKEND_TAIL_STREAM_H_
#define SERVICES_BACKEND_TAIL_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "flightrec/read/v1/read.pb.h"
#include "services/backend/read_metrics.h"
#include "services/backend/store/commit_watch.h"
#include "services/backend/store/tail_cursor.h"

namespace flightrec::backend {

class TailStream : public grpc::ServerWriteReactor<read::v1::TailChunksResponse> {
 public:
  // `follower` is the stream's from now on; it follows the cursor's recording since before the
  // cursor was opened. `on_done` runs when gRPC has let go of the stream.
  TailStream(CommitWatch& watch, uint64_t follower, TailCursor cursor, ReadMetrics& metrics,
             std::function<void(TailStream*)> on_done);

  // After construction, once.
  void Begin() { Advance(); }
  // From any thread, before OnDone: ends the stream after the message under way.
  void Close();

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  // The stream's turn belongs to one of: the write under way, the watch, the thread in Advance.
  // Only who has it calls these.
  void Advance();
  void Send(TailStep& step);
  void End(const grpc::Status& status);

  CommitWatch& watch_;
  const uint64_t follower_;
  TailCursor cursor_;
  ReadMetrics& metrics_;
  const std::function<void(TailStream*)> on_done_;
  // The reader has gone, or the stream is to end.
  std::atomic<bool> closing_{false};
  uint64_t chunks_ = 0;
  uint64_t calls_ = 0;
  bool ended_ = false;
  read::v1::TailChunksResponse response_;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_TAIL_STREAM_H_
