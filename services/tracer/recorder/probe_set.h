// Which functions of a running program are hooked and which are to be: the patterns in the order
// they were given, and the functions by the index that lane records carry. Functions and their
// indexes are only added.
//
// Not thread-safe. Plans changes; makes none in the program.
#ifndef SERVICES_TRACER_RECORDER_PROBE_SET_H_
#define SERVICES_TRACER_RECORDER_PROBE_SET_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/ids/entity_id.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/tracer/pattern/function_pattern.h"
#include "services/tracer/recorder/probe_plan.h"
#include "services/tracer/recorder/program_plan.h"
#include "services/tracer/target/traced_process.h"

namespace flightrec::tracer {

// What was asked of a recording is kept, because it holds for libraries that are loaded later too:
// at most so many requests, of which those that a later one with the same patterns replaces do not
// count.
inline constexpr size_t kMaxProbeRequests = 1000;

// A change to be made in the program.
struct ProbeChange {
  target::HookChange hooks;
  // New ones; their indexes follow those in use.
  std::vector<trace::v1::Function> functions;
  std::vector<trace::v1::Refusal> refusals;
  std::vector<RefusedFunction> refused;
  std::vector<std::string> later;
  std::vector<std::string> notes;
  // `later` is what still waits behind it.
  bool of_loaded_libraries = false;
};

class ProbeSet {
 public:
  // What was hooked at launch.
  void Start(pattern::FunctionPattern pattern, const ProgramPlan& plan);

  // What was hooked by another tracer. No changes can be planned.
  void Start(std::vector<trace::v1::Function> functions) { Register(functions); }

  // A function that both select is not hooked. `modules`: what is mapped. NOT_FOUND: a pattern
  // matches nothing, or nothing that was ever hooked is to be removed. FAILED_PRECONDITION: none of
  // the functions to add can be hooked. INVALID_ARGUMENT: not a pattern. RESOURCE_EXHAUSTED:
  // kMaxProbeRequests are kept.
  absl::StatusOr<ProbeChange> PlanUpdate(absl::Span<const target::MappedModule> modules,
                                         const std::vector<std::string>& add,
                                         const std::vector<std::string>& remove) const;

  // Libraries that were loaded meanwhile, by all patterns so far.
  absl::StatusOr<ProbeChange> PlanLibraries(absl::Span<const target::MappedModule> loaded) const;

  // Before the change is made: its functions are known from now on.
  void Adopt(const ProbeChange& change);
  // After an update was made: later libraries follow it too. Both are patterns of PlanUpdate.
  void Remember(const std::vector<std::string>& add, const std::vector<std::string>& remove);

  // Whether a library that is loaded later could have functions to hook.
  bool WantsLibraries() const;

  // By index.
  const std::vector<trace::v1::Function>& functions() const { return functions_; }
  std::vector<trace::v1::Refusal> refusals() const;
  // What a reader should know about modules and patterns, a sentence each.
  std::vector<std::string> Notes() const;

 private:
  struct Step {
    std::vector<std::string> terms;  // of `pattern`
    pattern::FunctionPattern pattern;
    bool add;
  };

  void Keep(const std::vector<std::string>& terms, bool add);
  void Register(const std::vector<trace::v1::Function>& functions);
  void Register(const std::vector<RefusedFunction>& refused);
  // Indexes for what `plan` hooks, without `excluded`; the rest of the plan as it is.
  void Merge(ProgramPlan plan, const absl::flat_hash_set<ids::FunctionId>& excluded,
             ProbeChange& change) const;

  std::vector<Step> steps_;
  std::vector<trace::v1::Function> functions_;
  absl::flat_hash_map<ids::FunctionId, uint32_t> index_;
  absl::flat_hash_set<ids::FunctionId> refused_;
  RefusalSummary refusals_;
  // Patterns for libraries that were not loaded so far.
  std::set<std::string> later_;
  std::set<std::string> notes_;
};

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_PROBE_SET_H_
