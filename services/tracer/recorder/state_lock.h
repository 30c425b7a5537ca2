// Who uses a tracer's state directory: as long as it lives, it holds the lock on the file `owner`
// there, which the kernel lets go when it dies, however it dies. Held by the object; not
// thread-safe.
#ifndef SERVICES_TRACER_RECORDER_STATE_LOCK_H_
#define SERVICES_TRACER_RECORDER_STATE_LOCK_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace flightrec::tracer {

class StateLock {
 public:
  // PERMISSION_DENIED: not a directory of this user that nobody else can write. UNAVAILABLE: a
  // process that lives has it, and which. Other statuses of the file system.
  static absl::StatusOr<std::unique_ptr<StateLock>> Take(const std::string& directory);
  // Who can write in a state directory says what is done to processes. PERMISSION_DENIED as above,
  // NOT_FOUND: there is none.
  static absl::Status CheckOwned(const std::string& directory);
  // Lets it go; the file stays.
  ~StateLock();
  StateLock(const StateLock&) = delete;
  StateLock& operator=(const StateLock&) = delete;

  // What the last owner said: where its recordings go. Empty: it had not come so far.
  const std::string& destination() const { return destination_; }
  // The last owner saw the same processes by the same numbers. True too if there was none.
  bool IsOfThisHost() const;
  // This process owns the directory from now on.
  absl::Status Own(const std::string& destination);

  // Nothing is left in the directory: removes the file.
  void Remove();

 private:
  StateLock(std::string path, int file) : path_(std::move(path)), file_(file) {}
  std::string ReadAll() const;

  const std::string path_;
  const int file_;
  std::string destination_;
  std::string host_;
};

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_STATE_LOCK_H_
