// Lays out the code of one region: unwind table and thunks, then the stubs,
// then the relocated starts of the functions and where each came from. Stubs are added as long as
// there is room; one is never taken away, because frames may return through it.
//
// Not thread-safe; writes into no process.
#ifndef SERVICES_TRACER_TARGET_REGION_BUILDER_H_
#define SERVICES_TRACER_TARGET_REGION_BUILDER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/tracer/agent/state.h"
#include "services/tracer/patch/relocate.h"
#include "services/tracer/patch/site.h"
#include "services/tracer/stub/stub.h"

namespace flightrec::target {

// Code that was laid out and not yet written.
struct RegionPiece {
  uint64_t address = 0;
  std::vector<uint8_t> bytes;
};

struct PlacedStub {
  uint64_t address = 0;
  uint64_t relocated = 0;  // the displaced instructions
  std::vector<patch::Landmark> landmarks;
};

class RegionBuilder {
 public:
  // Enough for any `stubs` functions.
  static uint64_t BytesFor(uint64_t stubs, const stub::LaneGeometry& geometry);

  // `slow_entry` and `slow_exit` are addresses of the agent's functions.
  RegionBuilder(uint64_t address, uint64_t stubs, uint64_t agent_state, uint64_t slow_entry,
                uint64_t slow_exit, const stub::LaneGeometry& geometry);

  // RESOURCE_EXHAUSTED: no room for another. An error leaves the region as it was.
  absl::StatusOr<PlacedStub> AddStub(const patch::Site& site, uint64_t load_bias,
                                     uint64_t function_id, uint32_t function_index);

  // What was laid out since the last time, to be written before a jump leads there.
  std::vector<RegionPiece> Take();

  uint64_t room() const { return (region_.high - next_stub_) / region_.stub_bytes; }
  agent::Region region() const { return region_; }

 private:
  const stub::LaneGeometry geometry_;
  agent::Region region_ = {};
  uint64_t entry_thunk_ = 0;
  uint64_t exit_thunk_ = 0;
  uint64_t next_stub_ = 0;
  uint64_t next_relocated_ = 0;
  RegionPiece head_;
  RegionPiece stubs_;
  RegionPiece relocated_;
  RegionPiece displaced_;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_REGION_BUILDER_H_
