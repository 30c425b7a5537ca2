#include "services/tracer/target/region_builder.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/tracer/stub/thunk.h"
#include "services/tracer/stub/unwind_table.h"

namespace flightrec::target {
namespace {

constexpr uint64_t kHeaderBytes = 4096;
constexpr uint64_t kEntryThunkOffset = 2048;
constexpr uint64_t kExitThunkOffset = kEntryThunkOffset + stub::kThunkBytes;
constexpr uint64_t kThunkListOffset = kExitThunkOffset + stub::kThunkBytes;
constexpr uint8_t kBreakpoint = 0xCC;

void PlaceAt(uint64_t offset, const std::vector<uint8_t>& code, std::vector<uint8_t>& bytes) {
  bytes.resize(std::max(bytes.size(), offset + code.size()), kBreakpoint);
  std::copy(code.begin(), code.end(), bytes.begin() + static_cast<int64_t>(offset));
}

template <typename T>
std::vector<uint8_t> BytesOf(const T& value) {
  std::vector<uint8_t> bytes(sizeof(value));
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

agent::Displaced DisplacedOf(const patch::Site& site, uint64_t load_bias, uint64_t relocated,
                             const patch::RelocatedPrologue& prologue) {
  agent::Displaced displaced = {};
  displaced.original = site.address + load_bias;
  displaced.relocated = static_cast<uint32_t>(relocated);
  displaced.called_at = static_cast<uint8_t>(prologue.called);
  std::vector<patch::Landmark> marks = prologue.landmarks;
  if (prologue.jump_back.has_value()) marks.push_back(*prologue.jump_back);
  for (const patch::Landmark& mark : marks) {
    if (displaced.count == agent::kMaxDisplaced) break;
    displaced.original_at[displaced.count] = static_cast<uint8_t>(mark.original);
    displaced.relocated_at[displaced.count++] = static_cast<uint8_t>(mark.relocated);
  }
  return displaced;
}

void Append(const std::vector<uint8_t>& code, RegionPiece& piece) {
  piece.bytes.insert(piece.bytes.end(), code.begin(), code.end());
}

}  // namespace

uint64_t RegionBuilder::BytesFor(uint64_t stubs, const stub::LaneGeometry& geometry) {
  return kHeaderBytes + stubs * (stub::PlacesOf(geometry).stub_bytes + patch::kMaxRelocatedBytes +
                                 sizeof(agent::Displaced));
}

RegionBuilder::RegionBuilder(uint64_t address, uint64_t stubs, uint64_t agent_state,
                             uint64_t slow_entry, uint64_t slow_exit,
                             const stub::LaneGeometry& geometry)
    : geometry_(geometry) {
  const stub::StubPlaces places = stub::PlacesOf(geometry);
  region_.low = address + kHeaderBytes;
  region_.high = region_.low + stubs * places.stub_bytes;
  region_.stub_bytes = places.stub_bytes;
  next_stub_ = region_.low;
  next_relocated_ = region_.high;
  entry_thunk_ = address + kEntryThunkOffset;
  exit_thunk_ = address + kExitThunkOffset;
  const stub::UnwindTable table = stub::EmitUnwindTable(address, region_.low, region_.high, places);
  region_.stub_fde = table.stub_fde;
  region_.callee_fde = table.callee_fde;
  region_.eh_frame_header = table.eh_frame_header;
  region_.displaced_end = region_.high + stubs * patch::kMaxRelocatedBytes;
  region_.displaced = region_.displaced_end;
  region_.thunks = address + kThunkListOffset;
  head_.address = address;
  PlaceAt(0, table.bytes, head_.bytes);
  PlaceAt(kEntryThunkOffset, stub::EmitEntryThunk(entry_thunk_, agent_state, slow_entry, places),
          head_.bytes);
  PlaceAt(kExitThunkOffset, stub::EmitExitThunk(exit_thunk_, agent_state, slow_exit), head_.bytes);
  const agent::CodeWithFrames thunks[agent::kThunks] = {
      {entry_thunk_, entry_thunk_ + stub::kThunkBytes, table.entry_thunk_fde},
      {exit_thunk_, exit_thunk_ + stub::kThunkBytes, table.exit_thunk_fde}};
  PlaceAt(kThunkListOffset, BytesOf(thunks), head_.bytes);
  displaced_.address = region_.displaced;
  stubs_.address = next_stub_;
  relocated_.address = next_relocated_;
}

absl::StatusOr<PlacedStub> RegionBuilder::AddStub(const patch::Site& site, uint64_t load_bias,
                                                  uint64_t function_id, uint32_t function_index) {
  if (room() == 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the ", (region_.high - region_.low) / region_.stub_bytes,
                     " stubs of this module are used"));
  }
  absl::StatusOr<patch::RelocatedPrologue> relocated =
      patch::RelocatePrologue(site, load_bias, next_relocated_);
  if (!relocated.ok()) return relocated.status();
  stub::StubSpec spec;
  spec.address = next_stub_;
  spec.function_id = function_id;
  spec.function_index = function_index;
  spec.relocated = next_relocated_;
  spec.entry_thunk = entry_thunk_;
  spec.exit_thunk = exit_thunk_;
  Append(BytesOf(DisplacedOf(site, load_bias, next_relocated_ - region_.high, *relocated)),
         displaced_);
  Append(relocated->code, relocated_);
  Append(stub::EmitStub(spec, geometry_), stubs_);
  next_relocated_ += relocated->code.size();
  next_stub_ += region_.stub_bytes;
  return PlacedStub{spec.address, spec.relocated, std::move(relocated->landmarks)};
}

std::vector<RegionPiece> RegionBuilder::Take() {
  std::vector<RegionPiece> pieces;
  for (RegionPiece* piece : {&head_, &stubs_, &relocated_, &displaced_}) {
    if (piece->bytes.empty()) continue;
    const uint64_t end = piece->address + piece->bytes.size();
    pieces.push_back(std::move(*piece));
    *piece = {end, {}};
  }
  return pieces;
}

}  // namespace flightrec::target
