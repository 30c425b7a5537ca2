#include "services/tracer/stub/stub.h"

#include <Zydis/Zydis.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "services/tracer/agent/state.h"
#include "services/tracer/stub/thunk.h"

namespace flightrec::stub {
namespace {

constexpr StubSpec kSpec = {0x10000, 0x1122334455667788, 7, 0x20000, 0xF000, 0xF100};
constexpr LaneGeometry kGeometry = {0x100000, 0x5000, 1 << 20, 0, 0, false, 0};

std::vector<LaneGeometry> AllModes() {
  std::vector<LaneGeometry> modes;
  for (uint64_t clock_line : {uint64_t{0}, uint64_t{0x7F0000000180}}) {
    for (uint64_t min_duration_ticks : {0, 3000}) {
      for (bool limits_calls : {false, true}) {
        LaneGeometry geometry = kGeometry;
        geometry.clock_line = clock_line;
        geometry.min_duration_ticks = min_duration_ticks;
        geometry.limits_calls = limits_calls;
        geometry.filtered_offset = 0x2000;
        modes.push_back(geometry);
      }
    }
  }
  return modes;
}

// One instruction a line, up to `size`.
std::string Disassemble(const std::vector<uint8_t>& code, uint64_t address, size_t size) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisFormatter formatter;
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
  std::string text;
  for (size_t at = 0; at < size;) {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    char line[128];
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, code.data() + at, size - at, &instruction,
                                           operands))) {
      return text + "undecodable\n";
    }
    ZydisFormatterFormatInstruction(&formatter, &instruction, operands,
                                    instruction.operand_count_visible, line, sizeof(line),
                                    address + at, nullptr);
    text += std::string(line) + "\n";
    at += instruction.length;
  }
  return text;
}

constexpr char kGolden[] = R"(push rbx
push rax
push rdx
rdfsbase rax
cmp rax, gs:[0x0000000000000000]
jnz 0x00000000000101E3
mov rbx, gs:[0x0000000000000008]
cmp rbx, gs:[0x0000000000000010]
jnb 0x00000000000101E3
lea rax, [rsp+0x18]
cmp [rbx-0x18], rax
jbe 0x00000000000101E3
mov rax, rbx
lea rdx, [rbx+0x20]
cmpxchg gs:[0x0000000000000008], rdx
jnz 0x0000000000010017
lea rax, [rsp+0x18]
mov [rbx+0x08], rax
mov rax, [rax]
mov [rbx], rax
mov rax, [rsp+0x10]
mov [rbx+0x10], rax
mov qword ptr [rbx+0x18], 0xFFFFFFFFFFFFFFFF
mov rax, 0x1122334455667788
add rax, [rbx+0xFFFE8]
imul rax, rax, 0x4F1BBCDD
mov [rbx+0x100008], rax
mov eax, 0x01
xadd gs:[0x0000000000000018], rax
shl rax, 0x20
or rax, 0x07
mov [rbx+0x100010], rax
rdtsc
shl rdx, 0x20
or rax, rdx
mov [rbx+0x100000], rax
pop rdx
pop rax
add rsp, 0x10
call 0x0000000000020000
lea rsp, [rsp-0x08]
push rax
push rcx
push rdx
push rsi
rdtsc
shl rdx, 0x20
or rdx, rax
rdfsbase rax
cmp rax, gs:[0x0000000000000000]
jnz 0x00000000000101DE
lea rax, [rbx+0x20]
cmp rax, gs:[0x0000000000000008]
jnz 0x00000000000101DE
lea rax, [rsp+0x20]
cmp [rbx+0x08], rax
jnz 0x00000000000101DE
mov rsi, gs:[0x0000000000000030]
mov rax, gs:[0x0000000000000020]
cmp rax, gs:[0x0000000000000028]
jnb 0x00000000000101DE
mov [rbx+0x18], rax
lea rcx, [rax+0x20]
cmpxchg gs:[0x0000000000000020], rcx
jnz 0x000000000001011C
mov ecx, eax
and ecx, 0xFFFFF
mov [rsi+rcx*1+0x5008], rdx
mov rdx, [rbx+0x100000]
mov [rsi+rcx*1+0x5000], rdx
mov rdx, [rbx+0x100008]
mov [rsi+rcx*1+0x5010], rdx
mov rdx, [rbx+0x100010]
mov [rsi+rcx*1+0x5018], rdx
cmp rax, [rsi+0x40]
jnz 0x00000000000101A3
mov rax, gs:[0x0000000000000020]
mov [rsi+0x40], rax
cmp rax, gs:[0x0000000000000020]
jnz 0x000000000001018B
xor ecx, ecx
mov [rbx+0x100000], rcx
mov [rbx+0x08], rcx
mov rcx, [rbx]
mov [rsp+0x20], rcx
mov rcx, rbx
mov rbx, [rbx+0x10]
lea rax, [rcx+0x20]
cmpxchg gs:[0x0000000000000008], rcx
jnz 0x00000000000101D4
pop rsi
pop rdx
pop rcx
pop rax
ret
mov qword ptr [rcx+0x08], 0x01
jmp 0x00000000000101CF
call 0x000000000000F100
call 0x000000000000F000
)";

TEST(Stub, code__then_as_drawn_above_the_functions_that_emit_it) {
  const std::vector<uint8_t> code = EmitStub(kSpec, kGeometry);
  EXPECT_EQ(Disassemble(code, kSpec.address, PlacesOf(kGeometry).descriptor), kGolden);
}

TEST(Stub, every_mode__then_size_and_places_are_those_of_its_stubs) {
  for (const LaneGeometry& geometry : AllModes()) {
    const StubPlaces places = PlacesOf(geometry);
    EXPECT_EQ(EmitStub(kSpec, geometry).size(), places.stub_bytes);
    EXPECT_LE(places.size, places.stub_bytes);
  }
}

TEST(Stub, descriptor__then_tells_the_slow_path_what_it_needs) {
  const std::vector<uint8_t> code = EmitStub(kSpec, kGeometry);
  agent::StubDescriptor descriptor;
  memcpy(&descriptor, code.data() + PlacesOf(kGeometry).descriptor, sizeof(descriptor));
  EXPECT_EQ(descriptor.function_id, kSpec.function_id);
  EXPECT_EQ(descriptor.function_index, kSpec.function_index);
  EXPECT_EQ(descriptor.relocated, kSpec.relocated);
}

TEST(Thunk, entry__then_leads_back_to_the_call_of_the_stub) {
  const std::vector<uint8_t> code = EmitEntryThunk(0x1000, 0xAA, 0xBB, PlacesOf(kGeometry));
  const std::string text = Disassemble(code, 0x1000, code.size());
  const int64_t distance =
      int64_t{PlacesOf(kGeometry).call} - int64_t{PlacesOf(kGeometry).descriptor};
  char add[64];
  snprintf(add, sizeof(add), "add rcx, 0xFFFFFFFF%08X\n", static_cast<uint32_t>(distance));
  EXPECT_NE(text.find(add), std::string::npos) << text;
  EXPECT_NE(text.find("ret 0x08\nmov rbx, [rbp+0x58]"), std::string::npos) << text;
}

TEST(Thunk, question__then_falls_through_to_the_original) {
  const std::vector<uint8_t> code = EmitQuestion(0x1000, 0xAA, 0xBB, Answer::kZero);
  char jump[64];
  snprintf(jump, sizeof(jump), "jz 0x%016zX\nxor eax, eax\nret\n", 0x1000 + code.size());
  const std::string text = Disassemble(code, 0x1000, code.size());
  EXPECT_NE(text.find(jump), std::string::npos) << text;
}

}  // namespace
}  // namespace flightrec::stub
