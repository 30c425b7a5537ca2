#include "services/tracer/target/region_builder.h"

#include <algorithm>

#include "services/tracer/patch/relocate.h"
#include "services/tracer/stub/thunk.h"
#include "services/tracer/stub/unwind_table.h"

namespace flightrec::target {
namespace {

constexpr uint64_t kHeaderBytes = 4096;
constexpr uint64_t kEntryThunkOffset = 1024;
constexpr uint64_t kExitThunkOffset = 1536;

}  // namespace

uint64_t RegionBuilder::BytesFor(uint64_t stubs) {
  return kHeaderBytes + stubs * (stub::kStubBytes + patch::kMaxRelocatedBytes);
}

RegionBuilder::RegionBuilder(uint64_t address, uint64_t stubs, uint64_t agent_state,
                             uint64_t slow_entry, uint64_t slow_exit,
                             const stub::LaneGeometry& geometry)
    : address_(address), geometry_(geometry) {
  region_.low = address + kHeaderBytes;
  region_.high = region_.low + stubs * stub::kStubBytes;
  region_.stub_bytes = stub::kStubBytes;
  next_stub_ = region_.low;
  next_relocated_ = region_.high;
  entry_thunk_ = address + kEntryThunkOffset;
  exit_thunk_ = address + kExitThunkOffset;
  const stub::UnwindTable table = stub::EmitUnwindTable(address, region_.low, region_.high);
  region_.stub_fde = table.stub_fde;
  region_.eh_frame_header = table.eh_frame_header;
  Place(address, table.bytes);
  Place(entry_thunk_, stub::EmitEntryThunk(entry_thunk_, agent_state, slow_entry));
  Place(exit_thunk_, stub::EmitExitThunk(exit_thunk_, agent_state, slow_exit));
}

absl::StatusOr<uint64_t> RegionBuilder::AddStub(const patch::Site& site, uint64_t load_bias,
                                                uint64_t function_id, uint32_t function_index) {
  const absl::StatusOr<patch::RelocatedPrologue> relocated =
      patch::RelocatePrologue(site, load_bias, next_relocated_);
  if (!relocated.ok()) return relocated.status();
  stub::StubSpec spec;
  spec.address = next_stub_;
  spec.function_id = function_id;
  spec.function_index = function_index;
  spec.relocated = next_relocated_;
  spec.entry_thunk = entry_thunk_;
  spec.exit_thunk = exit_thunk_;
  Place(next_relocated_, relocated->code);
  Place(next_stub_, stub::EmitStub(spec, geometry_));
  next_relocated_ += relocated->code.size();
  next_stub_ += stub::kStubBytes;
  return spec.address;
}

void RegionBuilder::Place(uint64_t address, const std::vector<uint8_t>& code) {
  const uint64_t offset = address - address_;
  if (bytes_.size() < offset + code.size()) {
    bytes_.resize(offset + code.size(), 0xCC);
  }
  std::copy(code.begin(), code.end(), bytes_.begin() + static_cast<int64_t>(offset));
}

}  // namespace flightrec::target
