#include "services/query_engine/engine/query_watch.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace flightrec::query_engine {

QueryWatch::Guard::Guard(QueryWatch& watch, Connection& connection, absl::Duration timeout,
                         std::function<bool()> cancelled)
    : watch_(watch) {
  const absl::Duration end = watch.clock_.Monotonic() + timeout;
  absl::MutexLock lock(&watch_.mutex_);
  watched_ = watch_.queries_.insert(
      watch_.queries_.end(),
      Watched{&connection, end, timeout, std::move(cancelled), absl::OkStatus()});
}

QueryWatch::Guard::~Guard() {
  absl::MutexLock lock(&watch_.mutex_);
  watch_.queries_.erase(watched_);
}

absl::Status QueryWatch::Guard::reason() const {
  absl::MutexLock lock(&watch_.mutex_);
  return watched_->reason;
}

QueryWatch::QueryWatch(clock::Clock& clock) : clock_(clock), thread_([this] { Run(); }) {}

QueryWatch::~QueryWatch() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void QueryWatch::Run() {
  absl::MutexLock lock(&mutex_);
  const absl::Condition stopping(&stopping_);
  while (!clock_.AwaitWithTimeout(mutex_, stopping, kPollInterval)) InterruptOverdue();
}

void QueryWatch::InterruptOverdue() {
  const absl::Duration now = clock_.Monotonic();
  for (Watched& query : queries_) {
    if (query.reason.ok() && query.cancelled()) {
      query.reason = absl::CancelledError("the caller cancelled the query");
    } else if (query.reason.ok() && now >= query.end) {
      query.reason = absl::DeadlineExceededError(
          absl::StrCat("the query ran longer than ", absl::FormatDuration(query.timeout),
                       "; ask for less or give it a longer timeout"));
    }
    // Again at every look: the engine forgets an interrupt that comes between
    // two statements of a connection.
    if (!query.reason.ok()) query.connection->Interrupt();
  }
}

}  // namespace flightrec::query_engine
