// Ends queries whose time is over or whose caller has gone: one thread looks at
// all of them every kPollInterval and interrupts their connections.
//
// Thread-safe. Outlives its guards. Does not limit how many queries run.
#ifndef SERVICES_QUERY_ENGINE_ENGINE_QUERY_WATCH_H_
#define SERVICES_QUERY_ENGINE_ENGINE_QUERY_WATCH_H_

#include <functional>
#include <list>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "services/query_engine/engine/database.h"

namespace flightrec::query_engine {

class QueryWatch {
 private:
  struct Watched {
    Connection* connection;
    absl::Duration end;  // on clock_.Monotonic()
    absl::Duration timeout;
    std::function<bool()> cancelled;
    absl::Status reason;
  };

 public:
  static constexpr absl::Duration kPollInterval = absl::Milliseconds(10);

  // Watches one query from its making to its end.
  class Guard {
   public:
    // `connection` outlives the guard; `cancelled` is called by the watch's
    // thread.
    Guard(QueryWatch& watch, Connection& connection, absl::Duration timeout,
          std::function<bool()> cancelled);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

    // Why the query was interrupted; ok when it was not.
    absl::Status reason() const;

   private:
    QueryWatch& watch_;
    std::list<Watched>::iterator watched_;
  };

  explicit QueryWatch(clock::Clock& clock);
  ~QueryWatch();
  QueryWatch(const QueryWatch&) = delete;
  QueryWatch& operator=(const QueryWatch&) = delete;

 private:
  void Run();
  void InterruptOverdue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  clock::Clock& clock_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::list<Watched> queries_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_ENGINE_QUERY_WATCH_H_
