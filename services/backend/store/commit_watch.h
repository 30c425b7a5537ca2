// Tells those who follow a recording that something of it has become durable, and where its chunks
// end now.
//
// Thread-safe; one thread of its own calls the followers, so that neither commits nor other
// followers' reads wait for more than the length of a queue. Keeps nothing of what was committed: a
// follower reads the database.
#ifndef SERVICES_BACKEND_STORE_COMMIT_WATCH_H_
#define SERVICES_BACKEND_STORE_COMMIT_WATCH_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"

namespace flightrec::backend {

// By recording key: the last position of the recording.
using CommittedPositions = absl::flat_hash_map<std::string, uint64_t>;

class CommitWatch {
 public:
  using Wake = std::function<void()>;

  CommitWatch();
  // Followers that wait are called.
  ~CommitWatch();
  CommitWatch(const CommitWatch&) = delete;
  CommitWatch& operator=(const CommitWatch&) = delete;

  // Follows a recording from now on.
  uint64_t Follow(std::string recording_key);
  // Not while a call of its `wake` is due or running.
  void Unfollow(uint64_t follower);

  // The last position that a commit since Follow said; 0: there was none. What is committed after
  // this call is news.
  uint64_t LastPosition(uint64_t follower);
  enum class Wait {
    kWaiting,  // `wake` is called once, on the watch's thread, at the next commit, or never: Close
    kNews,     // since LastPosition; `wake` is not called
    kClosed,   // neither
  };
  // After kWaiting the follower may be gone already: `wake` or Close have had their turn.
  Wait WaitForNews(uint64_t follower, Wake wake);
  // From now on it does not wait. True: it did, and `wake` will not be called.
  bool Close(uint64_t follower);

  // Is told of every commit, on the committing thread, and must not block; nullptr: nobody. After
  // the return the one before is not called any more.
  using Observer = std::function<void(const CommittedPositions&)>;
  void SetObserver(Observer observer);

  // From the committing thread, after the write.
  void Notify(const CommittedPositions& positions);

 private:
  struct Follower {
    std::string recording_key;
    uint64_t last_position = 0;
    bool news = false;
    bool closed = false;
    Wake wake;
  };

  void Run();

  absl::Mutex mutex_;
  absl::flat_hash_map<uint64_t, Follower> followers_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, absl::flat_hash_set<uint64_t>> by_recording_
      ABSL_GUARDED_BY(mutex_);
  Observer observer_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_follower_ ABSL_GUARDED_BY(mutex_) = 0;
  // At most one of each follower.
  std::deque<Wake> due_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // Last: uses all of the above.
  std::thread thread_;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_COMMIT_WATCH_H_
