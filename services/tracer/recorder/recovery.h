// What tracers that were killed have left: recordings that go on or get their end, hooks of
// processes that are taken out, files.
//
// For one thread. Touches nothing of a tracer that lives. Directories whose processes are taken
// over stay locked as long as the object lives.
#ifndef SERVICES_TRACER_RECORDER_RECOVERY_H_
#define SERVICES_TRACER_RECORDER_RECOVERY_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "services/tracer/ingest/ingest_client.h"
#include "services/tracer/recorder/left_process.h"
#include "services/tracer/recorder/recorder.h"
#include "services/tracer/recorder/state_lock.h"

namespace flightrec::tracer {

enum class Recovery {
  kGoOn,   // processes that live are recorded on
  kClean,  // everything ends now
};

struct Recovered {
  std::string what;  // a sentence
  // False: something is left that could not be ended. True too for what is of a tracer that lives,
  // or waits for another destination.
  bool clean = true;
};

class StateRecovery {
 public:
  // `destination`: where this tracer's recordings go; those of others are not taken over. All
  // outlive the object.
  StateRecovery(Recorder* recorder, ingest::IngestClient* ingest, std::string destination)
      : recorder_(recorder), ingest_(ingest), destination_(std::move(destination)) {}

  // Of a directory that this process owns.
  std::vector<Recovered> RecoverOwn(const std::string& directory, Recovery mode);
  // Of `parent`, if it is one, and of all state directories in it, which have numbers for names;
  // without `own`.
  std::vector<Recovered> RecoverOthers(const std::string& parent, const std::string& own,
                                       Recovery mode);

  // Removes what is empty; at the end of the tracer.
  void Finish();

 private:
  void FinishLast();
  void RecoverOther(const std::string& directory, Recovery mode, std::vector<Recovered>& recovered);
  // `destination`: of what is in the directory.
  void RecoverProcesses(const std::string& directory, const std::string& destination, Recovery mode,
                        std::vector<Recovered>& recovered);
  Recovered RecoverProcess(const LeftProcess& left, const std::string& destination, Recovery mode);
  Recovered RecoverRecording(const LeftProcess& left, Recovery mode);
  absl::StatusOr<std::string> SendEnd(const LeftProcess& left);

  Recorder* const recorder_;
  ingest::IngestClient* const ingest_;
  const std::string destination_;
  std::vector<std::pair<std::string, std::unique_ptr<StateLock>>> locks_;  // by directory
};

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_RECOVERY_H_
