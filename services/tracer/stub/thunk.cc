#include "services/tracer/stub/thunk.h"

#include <cstddef>
#include <cstdlib>

#include "services/tracer/agent/state.h"
#include "services/tracer/stub/code_buffer.h"

namespace flightrec::stub {

// Stack at the start, R = the address behind the stub's call, which is its
// descriptor, and after the pushes (rbp = rsp):
//   rbp+96  return address of the hooked function (S)
//   rbp+88  caller's rbx
//   rbp+80  rax
//   rbp+72  rdx
//   rbp+64  R
//   rbp+56  rcx
//   rbp+48  rsi, +40 rdi, +32 r8, +24 r9, +16 r10, +8 r11, +0 rbp
//
// 51 56 57 41 50 41 51 41 52 41 53 55   push rcx rsi rdi r8 r9 r10 r11 rbp
// 48 89 E5                 mov rbp, rsp
// 48 BF i64                mov rdi, agent_state
// 48 8B 75 40              mov rsi, [rbp+64]    descriptor
// 48 8D 55 60              lea rdx, [rbp+96]    S
// 48 8B 4D 58              mov rcx, [rbp+88]    caller's rbx
// 48 83 E4 F0              and rsp, -16
// 48 B8 i64                mov rax, slow_entry
// FF D0                    call rax
// 48 89 EC                 mov rsp, rbp
// 48 8B 4D 40              mov rcx, [rbp+64]
// 48 85 C0                 test rax, rax
// 74 d8                    je pass
// 48 89 C3                 mov rbx, rax         the entry
// 48 81 C1 i32             add rcx, call - descriptor
// 48 89 4D 58              mov [rbp+88], rcx    where the last ret leads
// 5D 41 5B 41 5A 41 59 41 58 5F 5E 59   pop rbp r11 r10 r9 r8 rdi rsi rcx
// 48 83 C4 08              add rsp, 8
// 5A 58                    pop rdx; pop rax
// C2 08 00                 ret 8                at the stub's call, rsp = S+8
// 48 8B 5D 58              pass: mov rbx, [rbp+88]
// 48 8B 49 10              mov rcx, [rcx+relocated]
// 48 89 4D 58              mov [rbp+88], rcx
// (the same pops)
// C3                       ret                  at the function, rsp = S
std::vector<uint8_t> EmitEntryThunk(uint64_t address, uint64_t agent_state, uint64_t slow_entry,
                                    const StubPlaces& places) {
  static_assert(offsetof(agent::StubDescriptor, relocated) == 0x10);
  CodeBuffer code(address);
  const auto pops = [&code] {
    code.Bytes({0x5D, 0x41, 0x5B, 0x41, 0x5A, 0x41, 0x59, 0x41, 0x58, 0x5F, 0x5E, 0x59});
    code.Bytes({0x48, 0x83, 0xC4, 0x08, 0x5A, 0x58});
  };
  code.Bytes({0x51, 0x56, 0x57, 0x41, 0x50, 0x41, 0x51, 0x41, 0x52, 0x41, 0x53, 0x55});
  code.Bytes({0x48, 0x89, 0xE5});
  code.Bytes({0x48, 0xBF}).U64(agent_state);
  code.Bytes({0x48, 0x8B, 0x75, 0x40, 0x48, 0x8D, 0x55, 0x60});
  code.Bytes({0x48, 0x8B, 0x4D, 0x58, 0x48, 0x83, 0xE4, 0xF0});
  code.Bytes({0x48, 0xB8}).U64(slow_entry).Bytes({0xFF, 0xD0});
  code.Bytes({0x48, 0x89, 0xEC, 0x48, 0x8B, 0x4D, 0x40, 0x48, 0x85, 0xC0});
  code.Bytes({0x74, 3 + 7 + 4 + 18 + 3});
  code.Bytes({0x48, 0x89, 0xC3});
  code.Bytes({0x48, 0x81, 0xC1}).U32(uint64_t{places.call} - uint64_t{places.descriptor});
  code.Bytes({0x48, 0x89, 0x4D, 0x58});
  pops();
  code.Bytes({0xC2, 0x08, 0x00});
  code.Bytes({0x48, 0x8B, 0x5D, 0x58, 0x48, 0x8B, 0x49, 0x10});
  code.Bytes({0x48, 0x89, 0x4D, 0x58});
  pops();
  code.Bytes({0xC3});
  return code.Take();
}

namespace {

// rcx = what the stub takes for its entry, which may be anything; rax = the one behind it. Last, as
// in the stub: a signal handler may take the entry for a call of its own. It is given back by one
// instruction, because the handler may leave entries of coroutines above it.
//
// 65 48 3B 04 25 d32       cmp rax, gs:[top]
// 75 d8                    jne kept
// 48 83 79 08 00           cmp qword [rcx+slot], 0
// 75 d8                    jne kept             it is another call's
// 65 48 0F B1 0C 25 d32    cmpxchg gs:[top], rcx
// 74 d8                    je kept
// 48 C7 41 08 01 00 00 00  mov qword [rcx+slot], kDeadSlot
//                          kept:
void GiveBack(CodeBuffer& code) {
  static_assert(sizeof(agent::ShadowEntry) == 0x20);
  static_assert(offsetof(agent::ShadowEntry, slot) == 0x08);
  static_assert(agent::kDeadSlot == 1);
  const size_t start = code.size();
  code.Bytes({0x65, 0x48, 0x3B, 0x04, 0x25}).U32(offsetof(agent::ThreadBlock, top));
  code.Bytes({0x75, 5 + 2 + 10 + 2 + 8});
  code.Bytes({0x48, 0x83, 0x79, 0x08, 0x00, 0x75, 10 + 2 + 8});
  code.Bytes({0x65, 0x48, 0x0F, 0xB1, 0x0C, 0x25}).U32(offsetof(agent::ThreadBlock, top));
  code.Bytes({0x74, 8, 0x48, 0xC7, 0x41, 0x08}).U32(agent::kDeadSlot);
  if (code.size() - start != kGiveBackBytes) std::abort();
}

}  // namespace

// Stack at the start and after the pushes (rbp = rsp):
//   rbp+88  place of the return address (S)
//   rbp+80  rax, +72 rcx, +64 rdx, +56 rsi
//   rbp+48  address behind the stub's call
//   rbp+40  rdi, +32 r8, +24 r9, +16 r10, +8 r11, +0 rbp
//
// 57 41 50 41 51 41 52 41 53 55   push rdi r8 r9 r10 r11 rbp
// 48 89 E5                 mov rbp, rsp
// 48 89 D1                 mov rcx, rdx         end
// 48 BF i64                mov rdi, agent_state
// 48 89 DE                 mov rsi, rbx         the entry
// 48 8D 55 58              lea rdx, [rbp+88]    S
// 48 83 E4 F0              and rsp, -16
// 48 B8 i64                mov rax, slow_exit
// FF D0                    call rax
// 48 89 EC                 mov rsp, rbp
// 48 89 45 58              mov [rbp+88], rax    return address
// 48 8D 43 20              lea rax, [rbx+32]
// 48 89 D9                 mov rcx, rbx
// 48 89 D3                 mov rbx, rdx         caller's rbx
// (GiveBack)
// 5D 41 5B 41 5A 41 59 41 58 5F   pop rbp r11 r10 r9 r8 rdi
// 48 83 C4 08              add rsp, 8
// 5E 5A 59 58 C3           pop rsi; pop rdx; pop rcx; pop rax; ret
std::vector<uint8_t> EmitExitThunk(uint64_t address, uint64_t agent_state, uint64_t slow_exit) {
  CodeBuffer code(address);
  code.Bytes({0x57, 0x41, 0x50, 0x41, 0x51, 0x41, 0x52, 0x41, 0x53, 0x55});
  code.Bytes({0x48, 0x89, 0xE5, 0x48, 0x89, 0xD1});
  code.Bytes({0x48, 0xBF}).U64(agent_state);
  code.Bytes({0x48, 0x89, 0xDE, 0x48, 0x8D, 0x55, 0x58});
  code.Bytes({0x48, 0x83, 0xE4, 0xF0});
  code.Bytes({0x48, 0xB8}).U64(slow_exit).Bytes({0xFF, 0xD0});
  code.Bytes({0x48, 0x89, 0xEC, 0x48, 0x89, 0x45, 0x58});
  code.Bytes({0x48, 0x8D, 0x43, 0x20, 0x48, 0x89, 0xD9, 0x48, 0x89, 0xD3});
  GiveBack(code);
  code.Bytes({0x5D, 0x41, 0x5B, 0x41, 0x5A, 0x41, 0x59, 0x41, 0x58, 0x5F});
  code.Bytes({0x48, 0x83, 0xC4, 0x08, 0x5E, 0x5A, 0x59, 0x58, 0xC3});
  return code.Take();
}

// Stack at the call: 8 (return address) + 16 (pushes) + 8 = aligned to 16.
//
// 57 56                    push rdi; push rsi
// 48 83 EC 08              sub rsp, 8
// 48 BA i64                mov rdx, agent_state
// 48 8D 0D d32             lea rcx, original
// 48 B8 i64                mov rax, function
// FF D0                    call rax
// 48 83 C4 08              add rsp, 8
// 5E 5F                    pop rsi; pop rdi
// 48 85 C0                 test rax, rax
// 74 d8                    je original
// 31 C0                    xor eax, eax         only if the answer is 0
// C3                       ret
//                          original:
std::vector<uint8_t> EmitQuestion(uint64_t address, uint64_t agent_state, uint64_t function,
                                  Answer answer) {
  CodeBuffer code(address);
  code.Bytes({0x57, 0x56, 0x48, 0x83, 0xEC, 0x08});
  code.Bytes({0x48, 0xBA}).U64(agent_state);
  code.Bytes({0x48, 0x8D, 0x0D});
  const size_t original = code.size();
  code.U32(0);
  code.Bytes({0x48, 0xB8}).U64(function).Bytes({0xFF, 0xD0});
  code.Bytes({0x48, 0x83, 0xC4, 0x08, 0x5E, 0x5F, 0x48, 0x85, 0xC0});
  if (answer == Answer::kZero) {
    code.Bytes({0x74, 0x03, 0x31, 0xC0, 0xC3});
  } else {
    code.Bytes({0x74, 0x01, 0xC3});
  }
  code.Bind(original);
  return code.Take();
}

namespace {

// The stack is aligned to 16 behind the pushes. rdx is as it was.
//
// 50 51 52 56 57 41 50 41 51 41 52 41 53   push rax rcx rdx rsi rdi r8 r9 r10 r11
// 48 BF i64                mov rdi, agent_state
// BE i32                   mov esi, event
// 48 B8 i64                mov rax, notice
// FF D0                    call rax
// 41 5B 41 5A 41 59 41 58 5F 5E 5A 59 58   pop r11 r10 r9 r8 rdi rsi rdx rcx rax
void Tell(CodeBuffer& code, uint64_t agent_state, uint64_t notice, uint32_t event) {
  code.Bytes({0x50, 0x51, 0x52, 0x56, 0x57, 0x41, 0x50, 0x41, 0x51, 0x41, 0x52, 0x41, 0x53});
  code.Bytes({0x48, 0xBF}).U64(agent_state);
  code.Bytes({0xBE}).U32(event);
  code.Bytes({0x48, 0xB8}).U64(notice).Bytes({0xFF, 0xD0});
  code.Bytes({0x41, 0x5B, 0x41, 0x5A, 0x41, 0x59, 0x41, 0x58, 0x5F, 0x5E, 0x5A, 0x59, 0x58});
}

}  // namespace

std::vector<uint8_t> EmitNotice(uint64_t address, uint64_t agent_state, uint64_t notice,
                                uint32_t event) {
  CodeBuffer code(address);
  Tell(code, agent_state, notice, event);
  return code.Take();
}

// The return address is kept in a register meanwhile: the child returns first, on the same stack.
//
// (Tell event)
// 5F                       pop rdi
// B8 3A 00 00 00           mov eax, 58          vfork
// 0F 05                    syscall
// 57                       push rdi
// 48 85 C0                 test rax, rax
// 74 03                    je child
// 78 d8                    js original          it fails again and sets errno
// C3                       ret
// 48 B9 i64                child: mov rcx, foreign_block
// F3 48 0F AE D9           wrgsbase rcx
// C3                       ret
//                          original:
std::vector<uint8_t> EmitVforkNotice(uint64_t address, uint64_t agent_state, uint64_t notice,
                                     uint32_t event, uint64_t foreign_block) {
  CodeBuffer code(address);
  Tell(code, agent_state, notice, event);
  code.Bytes({0x5F, 0xB8, 0x3A, 0x00, 0x00, 0x00, 0x0F, 0x05, 0x57});
  code.Bytes({0x48, 0x85, 0xC0, 0x74, 0x03, 0x78, 1 + 10 + 5 + 1, 0xC3});
  code.Bytes({0x48, 0xB9}).U64(foreign_block);
  code.Bytes({0xF3, 0x48, 0x0F, 0xAE, 0xD9, 0xC3});
  return code.Take();
}

// (Tell event)
// 48 83 EC 08              sub rsp, 8
// E8 d32                   call original
// 48 83 C4 08              add rsp, 8
// (Tell returned)
// C3                       ret
//                          original:
std::vector<uint8_t> EmitNoticeAround(uint64_t address, uint64_t agent_state, uint64_t notice,
                                      uint32_t event, uint32_t returned) {
  CodeBuffer code(address);
  Tell(code, agent_state, notice, event);
  const size_t told = code.size();
  code.Bytes({0x48, 0x83, 0xEC, 0x08});
  code.Bytes({0xE8}).U32(4 + told + 1);
  code.Bytes({0x48, 0x83, 0xC4, 0x08});
  Tell(code, agent_state, notice, returned);
  code.Bytes({0xC3});
  return code.Take();
}

}  // namespace flightrec::stub
