#include "services/tracer/stub/stub.h"

#include <cstddef>
#include <utility>

#include "common/path/path.h"
#include "services/tracer/agent/state.h"
#include "services/tracer/lane/layout.h"
#include "services/tracer/stub/code_buffer.h"

namespace flightrec::stub {
namespace {

using agent::ShadowEntry;
using agent::StubDescriptor;
using agent::ThreadBlock;
using lane::CallRecord;
using lane::OpenCallEntry;
using lane::SlotControl;

constexpr uint32_t kEntryBytes = sizeof(ShadowEntry);
constexpr uint32_t kStubAlignment = 64;

// disp8 operands in the code below.
static_assert(offsetof(ShadowEntry, return_address) == 0);
static_assert(offsetof(ShadowEntry, slot) == 8);
static_assert(offsetof(ShadowEntry, caller_rbx) == 16);
static_assert(offsetof(ShadowEntry, ring_place) == 24);
static_assert(offsetof(SlotControl, call_limit) == 48);
static_assert(offsetof(SlotControl, head) == 64);
static_assert(sizeof(ThreadBlock) <= 128);
static_assert(offsetof(OpenCallEntry, function_index) == 16);
static_assert(offsetof(CallRecord, function_index) == 24);

// Writes one stub. The distance of the two parts' slow jumps is filled in when
// the slow parts, which lie behind, are written.
class StubWriter {
 public:
  StubWriter(const StubSpec& spec, const LaneGeometry& geometry)
      : spec_(spec), geometry_(geometry), code_(spec.address) {}

  std::pair<std::vector<uint8_t>, StubPlaces> Write() {
    EntryChecks();
    if (geometry_.limits_calls) EntryFilter();
    EntryPush();
    EntryTimeAndCall();
    ExitTime();
    ExitChecks();
    if (geometry_.min_duration_ticks != 0) ExitFilter();
    ExitRecord();
    ExitPublish();
    ExitReturn();
    ExitAside();
    EntryAside();
    return {code_.Take(), places_};
  }

 private:
  // Bytes after the opcode and ModRM of an operand gs:[disp32].
  void Gs(std::initializer_list<uint8_t> opcode, size_t field) {
    code_.Bytes({0x65}).Bytes(opcode).Bytes({0x25}).U32(field);
  }
  uint32_t Here() const { return static_cast<uint32_t>(code_.size()); }
  uint64_t Shared(size_t field) const {
    return static_cast<uint64_t>(static_cast<int64_t>(geometry_.shared_distance) +
                                 static_cast<int64_t>(field));
  }
  void JumpSlow(uint8_t condition, std::vector<size_t>& jumps) {
    code_.Bytes({0x0F, condition});
    jumps.push_back(code_.size());
    code_.U32(0);
  }

  // Stack, S = address of the return address; below S nothing is alive:
  //   S     return address
  //   S-8   rbx
  //   S-16  rax
  //   S-24  rdx              <- rsp
  //
  // 53                    push rbx
  // 50                    push rax
  // 52                    push rdx
  // F3 48 0F AE C0        rdfsbase rax
  // 65 48 3B 04 25 d32    cmp rax, gs:[owner]
  // 0F 85 d32             jne slow            new thread, forked child
  // 65 48 8B 1C 25 d32    again: mov rbx, gs:[top]
  // 65 48 3B 1C 25 d32    cmp rbx, gs:[shadow_limit]
  // 0F 83 d32             jae slow
  // 48 8D 44 24 18        lea rax, [rsp+24]   = S
  // 48 39 43 E8           cmp [rbx-32+slot], rax
  // 0F 86 d32             jbe slow            dead entry, tail call
  void EntryChecks() {
    code_.Bytes({0x53});
    places_.pushed_rbx = Here();
    code_.Bytes({0x50});
    places_.pushed_rax = Here();
    code_.Bytes({0x52});
    places_.pushed_rdx = Here();
    code_.Bytes({0xF3, 0x48, 0x0F, 0xAE, 0xC0});
    Gs({0x48, 0x3B, 0x04}, offsetof(ThreadBlock, owner));
    JumpSlow(0x85, entry_jumps_);
    again_ = Here();
    Gs({0x48, 0x8B, 0x1C}, offsetof(ThreadBlock, top));
    Gs({0x48, 0x3B, 0x1C}, offsetof(ThreadBlock, shadow_limit));
    JumpSlow(0x83, entry_jumps_);
    code_.Bytes({0x48, 0x8D, 0x44, 0x24, 0x18});
    code_.Bytes({0x48, 0x39, 0x43, 0xE8});
    JumpSlow(0x86, entry_jumps_);
  }

  // 65 48 8B 14 25 d32    mov rdx, gs:[control]
  // 48 3B 5A 30           cmp rbx, [rdx+call_limit]
  // 0F 83 d32             jae filtered        too deep, muted thread
  void EntryFilter() {
    Gs({0x48, 0x8B, 0x14}, offsetof(ThreadBlock, control));
    code_.Bytes({0x48, 0x3B, 0x5A, offsetof(SlotControl, call_limit)});
    JumpSlow(0x83, filter_jumps_);
  }

  // rbx = the new entry. It is reserved before it is written, so that a signal
  // handler takes the one above; its slot is 0 until then. The handler may leave
  // entries of coroutines above what it interrupts: then the top is another one.
  // With a clock line that is not looked at: it costs nothing beside rdtsc only.
  //
  // 48 89 D8              mov rax, rbx                    with a clock line:
  // 48 8D 53 20           lea rdx, [rbx+32]               48 8D 53 20
  // 65 48 0F B1 14 25 d32 cmpxchg gs:[top], rdx           65 48 89 14 25 d32
  // 75 d8                 jne again                         mov gs:[top], rdx
  // 48 8D 44 24 18        lea rax, [rsp+24]   = S
  // 48 89 43 08           mov [rbx+slot], rax
  // 48 8B 00              mov rax, [rax]
  // 48 89 03              mov [rbx+return_address], rax
  // 48 8B 44 24 10        mov rax, [rsp+16]
  // 48 89 43 10           mov [rbx+caller_rbx], rax
  // 48 C7 43 18 i32       mov qword [rbx+ring_place], -1
  // 48 B8 i64             mov rax, function_id
  // 48 03 83 d32          add rax, [rbx+D-32+path]
  // 48 69 C0 i32          imul rax, rax, K
  // 48 89 83 d32          mov [rbx+D+path], rax
  // B8 01 00 00 00        mov eax, 1
  // 65 48 0F C1 04 25 d32 xadd gs:[next_ordinal], rax
  // 48 C1 E0 20           shl rax, 32
  // 48 0D i32             or rax, function_index
  // 48 89 83 d32          mov [rbx+D+function_index], rax
  void EntryPush() {
    Reserve();
    code_.Bytes({0x48, 0x89, 0x43, 0x08});
    code_.Bytes({0x48, 0x8B, 0x00});
    code_.Bytes({0x48, 0x89, 0x03});
    code_.Bytes({0x48, 0x8B, 0x44, 0x24, 0x10});
    code_.Bytes({0x48, 0x89, 0x43, 0x10});
    code_.Bytes({0x48, 0xC7, 0x43, 0x18}).U32(agent::kNoPlace);
    code_.Bytes({0x48, 0xB8}).U64(spec_.function_id);
    code_.Bytes({0x48, 0x03, 0x83}).U32(Shared(offsetof(OpenCallEntry, path)) - kEntryBytes);
    code_.Bytes({0x48, 0x69, 0xC0}).U32(kPathMultiplier);
    code_.Bytes({0x48, 0x89, 0x83}).U32(Shared(offsetof(OpenCallEntry, path)));
    code_.Bytes({0xB8}).U32(1);
    Gs({0x48, 0x0F, 0xC1, 0x04}, offsetof(ThreadBlock, next_ordinal));
    code_.Bytes({0x48, 0xC1, 0xE0, 0x20});
    code_.Bytes({0x48, 0x0D}).U32(spec_.function_index);
    code_.Bytes({0x48, 0x89, 0x83}).U32(Shared(offsetof(OpenCallEntry, function_index)));
  }

  void Reserve() {
    if (geometry_.clock_line != 0) {
      code_.Bytes({0x48, 0x8D, 0x53, kEntryBytes});
      Gs({0x48, 0x89, 0x14}, offsetof(ThreadBlock, top));
      return;
    }
    code_.Bytes({0x48, 0x89, 0xD8});
    code_.Bytes({0x48, 0x8D, 0x53, kEntryBytes});
    Gs({0x48, 0x0F, 0xB1, 0x14}, offsetof(ThreadBlock, top));
    code_.Bytes({0x75, static_cast<uint8_t>(again_ - (Here() + 2))});
    code_.Bytes({0x48, 0x8D, 0x44, 0x24, 0x18});
  }

  // The body finds its return address at S, its arguments where they were.
  //
  // 0F 31                 rdtsc                       or, with a clock line:
  // 48 C1 E2 20           shl rdx, 32                 48 A1 i64  mov rax, [clock_line]
  // 48 09 D0              or rax, rdx
  // 48 89 83 d32          mov [rbx+D+start], rax
  // 5A                    pop rdx
  // 58                    pop rax
  // 48 83 C4 10           add rsp, 16         rsp = S+8
  // E8 d32                call relocated
  void EntryTimeAndCall() {
    if (geometry_.clock_line != 0) {
      code_.Bytes({0x48, 0xA1}).U64(geometry_.clock_line);
    } else {
      code_.Bytes({0x0F, 0x31, 0x48, 0xC1, 0xE2, 0x20, 0x48, 0x09, 0xD0});
    }
    code_.Bytes({0x48, 0x89, 0x83}).U32(Shared(offsetof(OpenCallEntry, start_ticks)));
    code_.Bytes({0x5A});
    places_.popped_rdx = Here();
    code_.Bytes({0x58});
    places_.popped_rax = Here();
    code_.Bytes({0x48, 0x83, 0xC4, 0x10});
    places_.call = Here();
    code_.Bytes({0xE8}).Distance(spec_.relocated);
    places_.returned = Here();
  }

  // rbx = the entry, as the body found it. Every register is preserved: a
  // caller compiled with -fipa-ra may rely on more than the ABI promises.
  //   S     place of the return address: still the stub's, as long as the call
  //         counts as open
  //   S-8   rax
  //   S-16  rcx
  //   S-24  rdx
  //   S-32  rsi              <- rsp
  //
  // 48 8D 64 24 F8        lea rsp, [rsp-8]
  // 50 51 52 56           push rax; push rcx; push rdx; push rsi
  // 0F 31                 rdtsc                       or, with a clock line:
  // 48 C1 E2 20           shl rdx, 32                 48 A1 i64  mov rax, [clock_line]
  // 48 09 C2              or rdx, rax         = end   48 89 C2   mov rdx, rax
  void ExitTime() {
    code_.Bytes({0x48, 0x8D, 0x64, 0x24, 0xF8});
    places_.made_room = Here();
    code_.Bytes({0x50, 0x51, 0x52, 0x56});
    places_.pushed_last = Here();
    if (geometry_.clock_line != 0) {
      code_.Bytes({0x48, 0xA1}).U64(geometry_.clock_line).Bytes({0x48, 0x89, 0xC2});
    } else {
      code_.Bytes({0x0F, 0x31, 0x48, 0xC1, 0xE2, 0x20, 0x48, 0x09, 0xC2});
    }
  }

  // F3 48 0F AE C0        rdfsbase rax
  // 65 48 3B 04 25 d32    cmp rax, gs:[owner]
  // 0F 85 d32             jne slow            forked child, other thread
  // 48 8D 43 20           lea rax, [rbx+32]
  // 65 48 3B 04 25 d32    cmp rax, gs:[top]
  // 0F 85 d32             jne slow            frames above died or sleep
  // 48 8D 44 24 20        lea rax, [rsp+32]   = S
  // 48 39 43 08           cmp [rbx+slot], rax
  // 0F 85 d32             jne slow            taken for dead, the entry is another call's
  // 65 48 8B 34 25 d32    mov rsi, gs:[control]
  void ExitChecks() {
    code_.Bytes({0xF3, 0x48, 0x0F, 0xAE, 0xC0});
    Gs({0x48, 0x3B, 0x04}, offsetof(ThreadBlock, owner));
    JumpSlow(0x85, exit_jumps_);
    code_.Bytes({0x48, 0x8D, 0x43, kEntryBytes});
    Gs({0x48, 0x3B, 0x04}, offsetof(ThreadBlock, top));
    JumpSlow(0x85, exit_jumps_);
    code_.Bytes({0x48, 0x8D, 0x44, 0x24, 0x20});
    code_.Bytes({0x48, 0x39, 0x43, 0x08});
    JumpSlow(0x85, exit_jumps_);
    Gs({0x48, 0x8B, 0x34}, offsetof(ThreadBlock, control));
  }

  // 48 89 D0              mov rax, rdx
  // 48 2B 83 d32          sub rax, [rbx+D+start]
  // 48 B9 i64             mov rcx, min_duration_ticks
  // 48 39 C8              cmp rax, rcx
  // 0F 82 d32             jb filtered
  void ExitFilter() {
    code_.Bytes({0x48, 0x89, 0xD0});
    code_.Bytes({0x48, 0x2B, 0x83}).U32(Shared(offsetof(OpenCallEntry, start_ticks)));
    code_.Bytes({0x48, 0xB9}).U64(geometry_.min_duration_ticks);
    code_.Bytes({0x48, 0x39, 0xC8});
    JumpSlow(0x82, short_jumps_);
  }

  // The place is taken before it is written: a signal handler takes the next.
  //
  // 65 48 8B 04 25 d32    take: mov rax, gs:[reserved]
  // 65 48 3B 04 25 d32    cmp rax, gs:[ring_limit]
  // 0F 83 d32             jae slow
  // 48 89 43 18           mov [rbx+ring_place], rax
  // 48 8D 48 20           lea rcx, [rax+32]
  // 65 48 0F B1 0C 25 d32 cmpxchg gs:[reserved], rcx
  // 75 d8                 jne take
  // 89 C1                 mov ecx, eax
  // 81 E1 i32             and ecx, ring_bytes-1
  // 48 89 94 0E d32       mov [rsi+rcx+ring+end], rdx
  // 48 8B 93 d32          mov rdx, [rbx+D+start]
  // 48 89 94 0E d32       mov [rsi+rcx+ring+start], rdx
  // (the same for path, and for function_index with ordinal_low)
  void ExitRecord() {
    const uint32_t take = Here();
    Gs({0x48, 0x8B, 0x04}, offsetof(ThreadBlock, reserved));
    Gs({0x48, 0x3B, 0x04}, offsetof(ThreadBlock, ring_limit));
    JumpSlow(0x83, exit_jumps_);
    code_.Bytes({0x48, 0x89, 0x43, 0x18});
    code_.Bytes({0x48, 0x8D, 0x48, sizeof(CallRecord)});
    Gs({0x48, 0x0F, 0xB1, 0x0C}, offsetof(ThreadBlock, reserved));
    code_.Bytes({0x75, static_cast<uint8_t>(take - (Here() + 2))});
    code_.Bytes({0x89, 0xC1, 0x81, 0xE1}).U32(geometry_.ring_bytes - 1);
    StoreInRecord(offsetof(CallRecord, end_ticks));
    CopyToRecord(offsetof(OpenCallEntry, start_ticks), offsetof(CallRecord, start_ticks));
    CopyToRecord(offsetof(OpenCallEntry, path), offsetof(CallRecord, path));
    CopyToRecord(offsetof(OpenCallEntry, function_index), offsetof(CallRecord, function_index));
  }
  void StoreInRecord(size_t field) {
    code_.Bytes({0x48, 0x89, 0x94, 0x0E}).U32(geometry_.ring_offset + field);
  }
  void CopyToRecord(size_t from, size_t to) {
    code_.Bytes({0x48, 0x8B, 0x93}).U32(Shared(from));
    StoreInRecord(to);
  }

  // Publication, as lane/ring.h explains it.
  //
  // 48 3B 46 40           cmp rax, [rsi+head]
  // 75 0D+4+2             jne done            whom we interrupted publishes
  // 65 48 8B 04 25 d32    again: mov rax, gs:[reserved]
  // 48 89 46 40           mov [rsi+head], rax
  // 65 48 3B 04 25 d32    cmp rax, gs:[reserved]
  // 75 d8                 jne again
  //                       done:
  void ExitPublish() {
    code_.Bytes({0x48, 0x3B, 0x46, 0x40});
    code_.Bytes({0x75, 9 + 4 + 9 + 2});
    const uint32_t again = Here();
    Gs({0x48, 0x8B, 0x04}, offsetof(ThreadBlock, reserved));
    code_.Bytes({0x48, 0x89, 0x46, 0x40});
    Gs({0x48, 0x3B, 0x04}, offsetof(ThreadBlock, reserved));
    code_.Bytes({0x75, static_cast<uint8_t>(again - (Here() + 2))});
  }

  // The entry is given back last; what is still needed of it is in registers and
  // on the stack by then. If a signal handler has left entries of coroutines
  // above it, it stays where it is, dead.
  //
  // 31 C9                 xor ecx, ecx
  // 48 89 8B d32          mov [rbx+D+start], rcx
  // 48 89 4B 08           leave: mov [rbx+slot], rcx
  // 48 8B 0B              mov rcx, [rbx+return_address]
  // 48 89 4C 24 20        mov [rsp+32], rcx
  // 48 89 D9              mov rcx, rbx
  // 48 8B 5B 10           mov rbx, [rbx+caller_rbx]
  // 48 8D 41 20           lea rax, [rcx+32]               with a clock line:
  // 65 48 0F B1 0C 25 d32 cmpxchg gs:[top], rcx           65 48 89 0C 25 d32
  // 75 05                 jne kept                          mov gs:[top], rcx
  // 5E 5A 59 58           pops: pop rsi; pop rdx; pop rcx; pop rax
  // C3                    ret
  // 48 C7 41 08 i32       kept: mov qword [rcx+slot], kDeadSlot
  // EB d8                 jmp pops
  void ExitReturn() {
    ClearStart();
    leave_ = code_.here();
    code_.Bytes({0x48, 0x89, 0x4B, 0x08});
    code_.Bytes({0x48, 0x8B, 0x0B});
    code_.Bytes({0x48, 0x89, 0x4C, 0x24, 0x20});
    code_.Bytes({0x48, 0x89, 0xD9});
    code_.Bytes({0x48, 0x8B, 0x5B, 0x10});
    places_.restored_rbx = Here();
    GiveBack();
    places_.exit_pops = Here();
    code_.Bytes({0x5E, 0x5A, 0x59, 0x58, 0xC3});
    places_.exit_kept = Here();
    if (geometry_.clock_line != 0) return;
    code_.Bytes({0x48, 0xC7, 0x41, 0x08}).U32(agent::kDeadSlot);
    code_.Bytes({0xEB, static_cast<uint8_t>(places_.exit_pops - (Here() + 2))});
  }
  void GiveBack() {
    if (geometry_.clock_line != 0) {
      Gs({0x48, 0x89, 0x0C}, offsetof(ThreadBlock, top));
      return;
    }
    code_.Bytes({0x48, 0x8D, 0x41, kEntryBytes});
    Gs({0x48, 0x0F, 0xB1, 0x0C}, offsetof(ThreadBlock, top));
    code_.Bytes({0x75, 0x05});
  }
  void ClearStart() {
    code_.Bytes({0x31, 0xC9});
    code_.Bytes({0x48, 0x89, 0x8B}).U32(Shared(offsetof(OpenCallEntry, start_ticks)));
  }

  // A filtered call is over before it is counted: if a signal handler leaves
  // for good in between, it is not found again and counted twice. The call of
  // the thunk does not return: it goes on at the caller.
  //
  //                       filtered, with a minimum duration:
  // 31 C9                 xor ecx, ecx
  // 48 89 8B d32          mov [rbx+D+start], rcx
  // 48 FF 86 d32          inc qword [rsi+filtered]
  // E9 d32                jmp leave
  //                       slow:
  // E8 d32                call exit_thunk
  void ExitAside() {
    places_.exit_aside = Here();
    if (geometry_.min_duration_ticks != 0) {
      for (size_t jump : short_jumps_) code_.Bind(jump);
      ClearStart();
      code_.Bytes({0x48, 0xFF, 0x86}).U32(Filtered());
      code_.Bytes({0xE9}).Distance(leave_);
    }
    for (size_t jump : exit_jumps_) code_.Bind(jump);
    code_.Bytes({0xE8}).Distance(spec_.exit_thunk);
  }
  // Of this function, in a slot.
  uint64_t Filtered() const {
    return geometry_.filtered_offset + uint64_t{spec_.function_index} * sizeof(uint64_t);
  }

  // The call of the thunk does not return: it goes on at `call` or at the
  // relocated function. Its return address is that of the descriptor.
  //
  //                       filtered, with a limit of calls:
  // 48 FF 82 d32          inc qword [rdx+filtered]
  // 5A 58 5B              pop rdx; pop rax; pop rbx
  // E9 d32                jmp relocated
  //                       slow:
  // E8 d32                call entry_thunk
  // StubDescriptor
  void EntryAside() {
    places_.filtered_entry = places_.filtered_pops = Here();
    if (geometry_.limits_calls) {
      for (size_t jump : filter_jumps_) code_.Bind(jump);
      code_.Bytes({0x48, 0xFF, 0x82}).U32(Filtered());
      places_.filtered_pops = Here();
      code_.Bytes({0x5A, 0x58, 0x5B});
      code_.Bytes({0xE9}).Distance(spec_.relocated);
    }
    for (size_t jump : entry_jumps_) code_.Bind(jump);
    places_.slow_entry = Here();
    code_.Bytes({0xE8}).Distance(spec_.entry_thunk);
    places_.descriptor = Here();
    static_assert(sizeof(StubDescriptor) == 24);
    code_.U64(spec_.function_id).U32(spec_.function_index).U32(0);
    code_.U64(spec_.relocated);
    places_.size = Here();
    places_.stub_bytes = (Here() + kStubAlignment - 1) / kStubAlignment * kStubAlignment;
    code_.PadTo(places_.stub_bytes, 0xCC);
  }

  const StubSpec& spec_;
  const LaneGeometry& geometry_;
  CodeBuffer code_;
  StubPlaces places_;
  std::vector<size_t> entry_jumps_;
  std::vector<size_t> exit_jumps_;
  std::vector<size_t> filter_jumps_;
  std::vector<size_t> short_jumps_;
  uint64_t leave_ = 0;
  uint32_t again_ = 0;
};

}  // namespace

std::vector<uint8_t> EmitStub(const StubSpec& spec, const LaneGeometry& geometry) {
  return StubWriter(spec, geometry).Write().first;
}

StubPlaces PlacesOf(const LaneGeometry& geometry) {
  return StubWriter(StubSpec(), geometry).Write().second;
}

}  // namespace flightrec::stub
