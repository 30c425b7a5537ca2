// A streaming answer that a thread of its own makes, for work that takes too long for gRPC's.
//
// One per call; deletes itself when gRPC has let go of it. The body runs on the thread, writes one
// message at a time and waits for each.
#ifndef SERVICES_BACKEND_BLOCKING_STREAM_H_
#define SERVICES_BACKEND_BLOCKING_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/status.h"

namespace flightrec::backend {

template <typename Response>
class BlockingStream : public grpc::ServerWriteReactor<Response> {
 public:
  // Its status ends the call.
  using Body = std::function<absl::Status(BlockingStream&)>;

  // `on_done` comes last, on a thread of gRPC.
  BlockingStream(Body body, std::function<void()> on_done) : on_done_(std::move(on_done)) {
    // Touches nothing of this object after Finish.
    std::thread([this, body = std::move(body)] {
      const grpc::Status status = rpc::ToGrpcStatus(body(*this));
      this->Finish(status);
    }).detach();
  }

  // False: the caller has gone, or the call was cancelled.
  bool Write(const Response& response) {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = true;
    }
    this->StartWrite(&response);
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](BlockingStream* stream) ABSL_NO_THREAD_SAFETY_ANALYSIS { return !stream->writing_; },
        this));
    return !broken_;
  }
  bool IsCancelled() {
    absl::MutexLock lock(&mutex_);
    return broken_;
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) broken_ = true;
  }
  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    broken_ = true;
  }
  void OnDone() override {
    on_done_();
    delete this;
  }

 private:
  const std::function<void()> on_done_;
  absl::Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_BLOCKING_STREAM_H_
