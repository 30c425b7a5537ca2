// For tests: runs a sample program with all its functions hooked, except those
// whose names start with "Unhooked", and adds up
// what its lanes say.
//
// Not thread-safe. Fails the running test if the launch fails.
#ifndef SERVICES_TRACER_TARGET_LAUNCHED_PROGRAM_H_
#define SERVICES_TRACER_TARGET_LAUNCHED_PROGRAM_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "services/tracer/lane/lane_file.h"
#include "services/tracer/lane/lane_reader.h"
#include "services/tracer/patch/site.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/target/thread_filter.h"
#include "services/tracer/target/thread_watch.h"
#include "services/tracer/target/traced_process.h"

namespace flightrec::target {

struct CallCounts {
  uint64_t recorded = 0;
  uint64_t dropped = 0;
  uint64_t open = 0;  // when the thread or the program ended
  uint64_t filtered = 0;

  uint64_t total() const { return recorded + dropped + open + filtered; }
};

class LaunchedProgram {
 public:
  explicit LaunchedProgram(const std::string& path) { options_.program = path; }
  ~LaunchedProgram();

  LaunchOptions& options() { return options_; }
  // By function index.
  const std::vector<Hook>& hooks() const { return hooks_; }

  // argv[0] is the program. False if the test has failed.
  bool Start(const std::vector<std::string>& arguments);
  // While it runs: hooks, or takes the hooks out of, functions that were hooked at the start.
  HookChangeResult ChangeHooks(const std::vector<std::string>& hook,
                               const std::vector<std::string>& unhook);

  // Writes to the program's standard input.
  void SendByte();
  void CloseInput();

  // Takes what is there, releases slots of ended threads. Returns the slots
  // released.
  size_t DrainOnce();
  // Drains until the program has ended.
  Outcome RunToEnd();
  // Waits for the end first and drains only then.
  Outcome RunToEndUndrained();

  CallCounts counts(const std::string& symbol) const;
  const std::vector<lane::CallRecord>& records() const { return records_; }
  uint32_t IndexOf(const std::string& symbol) const;
  uint64_t base() const { return base_; }
  lane::LaneReader& reader() { return *reader_; }
  TracedProcess& process() { return *process_; }
  size_t threads_seen() const { return threads_seen_; }
  std::string output() const;
  std::string error_output() const;

 private:
  void TakeSlot(const lane::LaneThread& thread);
  void TakeOpenCalls(const lane::LaneThread& thread);

  LaunchOptions options_;
  std::vector<Hook> hooks_;
  std::vector<std::string> symbols_;  // by function index
  uint64_t base_ = 0;
  std::unique_ptr<TracedProcess> process_;
  std::unique_ptr<lane::LaneReader> reader_;
  std::unique_ptr<ThreadWatch> watch_;
  std::unique_ptr<ThreadFilter> filter_;
  std::map<std::string, CallCounts> counts_;
  std::vector<lane::CallRecord> records_;
  size_t threads_seen_ = 0;
  int input_ = -1;   // our end of its standard input
  int output_ = -1;  // a file without a name
  int error_output_ = -1;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_LAUNCHED_PROGRAM_H_
