// Lays out the code of one region: unwind table and thunks, then the stubs,
// then the relocated starts of the functions.
//
// Not thread-safe; writes into no process.
#ifndef SERVICES_TRACER_TARGET_REGION_BUILDER_H_
#define SERVICES_TRACER_TARGET_REGION_BUILDER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/tracer/agent/state.h"
#include "services/tracer/patch/site.h"
#include "services/tracer/stub/stub.h"

namespace flightrec::target {

class RegionBuilder {
 public:
  // Enough for any `stubs` functions.
  static uint64_t BytesFor(uint64_t stubs);

  // `slow_entry` and `slow_exit` are addresses of the agent's functions.
  RegionBuilder(uint64_t address, uint64_t stubs, uint64_t agent_state, uint64_t slow_entry,
                uint64_t slow_exit, const stub::LaneGeometry& geometry);

  // The address of the new stub. An error leaves the region as it was.
  absl::StatusOr<uint64_t> AddStub(const patch::Site& site, uint64_t load_bias,
                                   uint64_t function_id, uint32_t function_index);

  const std::vector<uint8_t>& bytes() const { return bytes_; }
  agent::Region region() const { return region_; }

 private:
  void Place(uint64_t address, const std::vector<uint8_t>& code);

  const uint64_t address_;
  const stub::LaneGeometry geometry_;
  agent::Region region_ = {};
  uint64_t entry_thunk_ = 0;
  uint64_t exit_thunk_ = 0;
  uint64_t next_stub_ = 0;
  uint64_t next_relocated_ = 0;
  std::vector<uint8_t> bytes_;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_REGION_BUILDER_H_
