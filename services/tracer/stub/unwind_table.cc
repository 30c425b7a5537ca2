#include "services/tracer/stub/unwind_table.h"

#include <cstddef>
#include <cstring>
#include <initializer_list>

#include "services/tracer/agent/state.h"
#include "services/tracer/stub/code_buffer.h"
#include "services/tracer/stub/thunk.h"

namespace flightrec::stub {
namespace {

// DWARF call frame instructions and registers (x86-64 psABI).
constexpr uint8_t kNop = 0x00;
constexpr uint8_t kAdvance4 = 0x04;
constexpr uint8_t kSameValue = 0x08;
constexpr uint8_t kDefCfa = 0x0C;
constexpr uint8_t kDefCfaOffset = 0x0E;
constexpr uint8_t kDefCfaExpression = 0x0F;
constexpr uint8_t kExpression = 0x10;
constexpr uint8_t kValueExpression = 0x16;
constexpr uint8_t kOffset = 0x80;   // | register
constexpr uint8_t kRestore = 0xC0;  // | register
constexpr uint8_t kOpDeref = 0x06;
constexpr uint8_t kOpConst1s = 0x09;
constexpr uint8_t kOpConst8u = 0x0E;
constexpr uint8_t kOpAnd = 0x1A;
constexpr uint8_t kOpNe = 0x2E;
constexpr uint8_t kOpPlus = 0x22;
constexpr uint8_t kOpBreg3 = 0x73;
constexpr uint8_t kOpBreg7 = 0x77;
constexpr uint8_t kRbx = 3;
constexpr uint8_t kRbp = 6;
constexpr uint8_t kRsp = 7;
constexpr uint8_t kReturn = 16;

// Starts a CIE or FDE: the length is filled in by Close.
size_t Open(CodeBuffer& code) {
  code.U32(0);
  return code.size();
}

void Close(CodeBuffer& code, size_t start) {
  while ((code.size() - start + 4) % 8 != 0) code.Bytes({kNop});
  code.Bind(start - 4);
}

// Where every stub is returned to; no other code has these bytes behind a call.
uint64_t BytesAtReturn() {
  static const uint64_t bytes = [] {
    uint64_t word = 0;
    const LaneGeometry any;
    std::memcpy(&word, EmitStub(StubSpec(), any).data() + PlacesOf(any).returned, sizeof(word));
    return word;
  }();
  return bytes;
}

// Return address and rbx are in the shadow entry rbx points to; the stack
// pointer is behind the place of the return address, `distance` above rsp.
//
// The stub's frame is empty, so its CFA would be that of the frame below. The
// unwinder tells frames apart by CFA and aborts if that of a handler's frame
// comes twice: the CFA here is one more than the stack pointer of the caller.
// After tail calls a stub returns to the next one, all with empty frames: only
// the last of them, which does not return to a stub, adds the one.
void CfaInEntry(CodeBuffer& code, uint8_t distance) {
  constexpr uint8_t kLength = 17;
  code.Bytes({kDefCfaExpression, kLength, kOpBreg7, distance});
  code.Bytes({kOpBreg3, 0, kOpDeref, kOpDeref, kOpConst8u}).U64(BytesAtReturn());
  code.Bytes({kOpNe, kOpPlus});
}

void InEntry(CodeBuffer& code, uint8_t distance) {
  static_assert(offsetof(agent::ShadowEntry, return_address) == 0);
  static_assert(offsetof(agent::ShadowEntry, caller_rbx) == 16);
  CfaInEntry(code, distance);
  code.Bytes({kExpression, kReturn, 2, kOpBreg3, 0});
  code.Bytes({kExpression, kRbx, 2, kOpBreg3, 16});
  code.Bytes({kValueExpression, kRsp, 3, kOpConst1s, 0xF8, kOpAnd});
}

// The usual rules.
void OnStack(CodeBuffer& code, uint8_t distance) {
  code.Bytes({kDefCfa, kRsp, distance});
  code.Bytes({kOffset | kReturn, 1, kSameValue, kRbx});
  code.Bytes({kRestore | kRsp});
}

// Advances from place to place and states the distance rsp -> CFA.
class Rows {
 public:
  explicit Rows(CodeBuffer& code) : code_(code) {}

  void Advance(uint32_t place) {
    code_.Bytes({kAdvance4}).U32(place - place_);
    place_ = place;
  }
  void At(uint32_t place, uint8_t cfa_offset) {
    Advance(place);
    code_.Bytes({kDefCfaOffset, cfa_offset});
  }

 private:
  CodeBuffer& code_;
  uint32_t place_ = 0;
};

// Saved rbx of the entry part: at CFA-16 from its push until it is dropped.
void StubRows(const StubPlaces& places, CodeBuffer& code) {
  const auto saved_rbx = [&code] { code.Bytes({kOffset | kRbx, 2}); };
  Rows rows(code);
  rows.At(places.pushed_rbx, 16);
  saved_rbx();
  rows.At(places.pushed_rax, 24);
  rows.At(places.pushed_rdx, 32);
  rows.At(places.popped_rdx, 24);
  rows.At(places.popped_rax, 16);
  rows.At(places.call, 0);
  // The slow part comes here too, and has used the place of the saved rbx.
  code.Bytes({kExpression, kRbx, 2, kOpBreg3, 16});
  // An unwinder looks for the return address - 1, inside the call.
  rows.Advance(places.call + 1);
  InEntry(code, 0);
  for (uint32_t i = 0; i <= 4; ++i) {
    rows.Advance(places.made_room + i);
    CfaInEntry(code, static_cast<uint8_t>(8 + 8 * i));
  }
  rows.Advance(places.restored_rbx);
  OnStack(code, 40);
  for (uint32_t i = 1; i <= 4; ++i) {
    rows.At(places.exit_pops + i, static_cast<uint8_t>(40 - 8 * i));
  }
  rows.At(places.exit_kept, 40);
  rows.Advance(places.exit_aside);
  InEntry(code, 40);
  rows.Advance(places.filtered_entry);
  OnStack(code, 32);
  saved_rbx();
  if (places.filtered_entry == places.slow_entry) return;
  rows.At(places.filtered_pops + 1, 24);
  rows.At(places.filtered_pops + 2, 16);
  rows.At(places.filtered_pops + 3, 8);
  code.Bytes({kSameValue, kRbx});
  rows.At(places.slow_entry, 32);
  saved_rbx();
}

// Rows of the thunks as thunk.cc draws them: the frame of a thunk is that of the
// hooked function, so nothing of the stub that called it is needed.
class ThunkRows {
 public:
  // `distance`: rsp -> CFA at the start.
  ThunkRows(CodeBuffer& code, uint8_t distance) : code_(code), rows_(code), distance_(distance) {
    code.Bytes({kDefCfa, kRsp, distance});
  }

  void Skip(uint32_t bytes) { place_ += bytes; }
  // An instruction that moves rsp.
  void Move(uint32_t bytes, int change) {
    place_ += bytes;
    distance_ = static_cast<uint8_t>(distance_ + change);
    rows_.At(place_, distance_);
  }
  // push rbp; mov rbp, rsp: from here on by rbp.
  void SetFrame() {
    Move(1, 8);
    place_ += 3;
    Frame(distance_);
  }
  void Frame(uint8_t distance) {
    distance_ = distance;
    rows_.Advance(place_);
    code_.Bytes({kDefCfa, kRbp, distance, kOffset | kRbp, static_cast<uint8_t>(distance / 8)});
  }
  // pop rbp
  void DropFrame() {
    place_ += 1;
    distance_ = static_cast<uint8_t>(distance_ - 8);
    rows_.Advance(place_);
    code_.Bytes({kDefCfa, kRsp, distance_, kRestore | kRbp});
  }
  void Here(std::initializer_list<uint8_t> rules) {
    rows_.Advance(place_);
    code_.Bytes(rules);
  }

 private:
  CodeBuffer& code_;
  Rows rows_;
  uint32_t place_ = 0;
  uint8_t distance_;
};

void EntryThunkRows(CodeBuffer& code) {
  constexpr uint8_t kFrame = 104;
  const auto pops = [](ThunkRows& rows) {
    rows.DropFrame();
    for (int bytes : {2, 2, 2, 2, 1, 1, 1}) rows.Move(static_cast<uint32_t>(bytes), -8);
    rows.Move(4, -8);
    rows.Move(1, -8);
    rows.Move(1, -8);
  };
  ThunkRows rows(code, 40);
  rows.Here({kOffset | kRbx, 2});
  for (int bytes : {1, 1, 1, 2, 2, 2, 2}) rows.Move(static_cast<uint32_t>(bytes), 8);
  rows.SetFrame();
  rows.Skip(10 + 4 + 4 + 4 + 4 + 10 + 2 + 3 + 4 + 3 + 2 + 3);
  rows.Here({kExpression, kRbx, 2, kOpBreg3, 16});  // mov rbx, rax
  rows.Skip(7 + 4);
  pops(rows);
  rows.Skip(3);
  rows.Frame(kFrame);
  rows.Here({kOffset | kRbx, 2});
  rows.Skip(4);
  rows.Here({kSameValue, kRbx});  // mov rbx, [rbp+88]
  rows.Skip(4 + 4);
  pops(rows);
}

void ExitThunkRows(CodeBuffer& code) {
  ThunkRows rows(code, 48);
  rows.Here({kExpression, kReturn, 2, kOpBreg3, 0, kExpression, kRbx, 2, kOpBreg3, 16});
  for (int bytes : {1, 2, 2, 2, 2}) rows.Move(static_cast<uint32_t>(bytes), 8);
  rows.SetFrame();
  rows.Skip(3 + 10 + 3 + 4 + 4 + 10 + 2 + 3 + 4 + 4 + 3 + 3);
  rows.Here({kOffset | kReturn, 1, kSameValue, kRbx});  // mov rbx, rdx
  rows.Skip(kGiveBackBytes);
  rows.DropFrame();
  for (int bytes : {2, 2, 2, 2, 1}) rows.Move(static_cast<uint32_t>(bytes), -8);
  rows.Move(4, -8);
  for (int i = 0; i < 4; ++i) rows.Move(1, -8);
}

void CalleeRows(CodeBuffer&) {}

// An FDE of code that starts where the unwinder is told.
uint64_t ThunkFde(CodeBuffer& code, uint64_t cie_address, void (*emit_rows)(CodeBuffer&)) {
  const uint64_t fde = code.here();
  const size_t start = Open(code);
  code.U32(code.here() - cie_address).U64(0).U64(kThunkBytes);
  emit_rows(code);
  Close(code, start);
  return fde;
}

}  // namespace

// CIE; FDE of a stub at address 0; FDEs of the thunks and of a callee at
// address 0; FDE of [low, high); end mark; header:
//   version 1, eh_frame_ptr absolute 8 bytes, count 4 bytes, table of pairs
//   (start, FDE) as 4-byte distances from the header.
UnwindTable EmitUnwindTable(uint64_t address, uint64_t low, uint64_t high,
                            const StubPlaces& places) {
  CodeBuffer code(address);
  UnwindTable table;
  const size_t cie = Open(code);
  // id 0, version 1, "", code alignment 1, data alignment -8, return column;
  // pointers are absolute.
  code.U32(0).Bytes({1, 0, 1, 0x78, kReturn});
  code.Bytes({kDefCfa, kRsp, 8, kOffset | kReturn, 1});
  Close(code, cie);
  const uint64_t cie_address = address;

  table.stub_fde = code.here();
  const size_t stub = Open(code);
  code.U32(code.here() - cie_address).U64(0).U64(places.stub_bytes);
  StubRows(places, code);
  Close(code, stub);

  table.entry_thunk_fde = ThunkFde(code, cie_address, EntryThunkRows);
  table.exit_thunk_fde = ThunkFde(code, cie_address, ExitThunkRows);
  table.callee_fde = ThunkFde(code, cie_address, CalleeRows);

  const uint64_t region_fde = code.here();
  const size_t region = Open(code);
  code.U32(code.here() - cie_address).U64(low).U64(high - low);
  InEntry(code, 0);
  Close(code, region);
  code.U32(0).U32(0);

  table.eh_frame_header = code.here();
  constexpr uint8_t kUdata4 = 0x03;
  constexpr uint8_t kDatarelSdata4 = 0x3B;
  code.Bytes({1, 0x00, kUdata4, kDatarelSdata4});
  code.U64(cie_address).U32(1);
  code.U32(low - table.eh_frame_header);
  code.U32(region_fde - table.eh_frame_header);
  table.bytes = code.Take();
  return table;
}

}  // namespace flightrec::stub
