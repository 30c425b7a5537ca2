// What the tracer knows about one ELF file: where its code is, what its
// functions are called, how they are bounded. Plain data, filled by
// symbols/module_reader.h; immutable afterwards and then safe to share between
// threads. It knows nothing of a running process: every address here is a
// link-time address ("vaddr"); the address in a process is vaddr + load bias,
// and the load bias of a file that is not position independent is 0.

#ifndef SERVICES_TRACER_SYMBOLS_MODULE_H_
#define SERVICES_TRACER_SYMBOLS_MODULE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace flightrec::symbols {

enum class Kind : uint8_t {
  kFunction,
  kIfunc,         // STT_GNU_IFUNC: the code is a resolver run by ld.so
  kColdFragment,  // "foo.cold": entered by a jump from inside foo
  kCompilerGlue,  // _init, frame_dummy, ...: start-up code of no interest
  kProgramEntry,  // _start: entered by the kernel, has no caller
  // Of a program without symbols (symbols/nameless_unwinder.h):
  kUnwinder,        // walks frames, or calls the lookup
  kUnwinderLookup,  // what _Unwind_Find_FDE is
};

struct Function {
  uint64_t offset = 0;               // vaddr of the first byte
  uint64_t size = 0;                 // bytes
  std::string symbol;                // as in the symbol table (mangled); empty if nameless
  std::string name;                  // demangled with arguments; "sub_<hex>" if nameless
  std::string short_name;            // name without return type, arguments, qualifiers
  std::vector<std::string> aliases;  // other symbols of the same address
  Kind kind = Kind::kFunction;
  bool exported = false;       // defined, visible symbol of .dynsym
  bool size_inferred = false;  // the symbol had size 0: reaches to the next one
};

struct Segment {
  uint64_t vaddr = 0;
  uint64_t memory_size = 0;
  bool executable = false;
  bool writable = false;
  std::vector<uint8_t> bytes;  // file content; at most memory_size

  bool Contains(uint64_t address) const {
    return address >= vaddr && address - vaddr < bytes.size();
  }
};

// One entry of .eh_frame: a contiguous piece of code with unwind information.
struct CodeRange {
  uint64_t offset = 0;
  uint64_t size = 0;
  // At its first byte the return address is at [rsp], as at a function entry.
  // False for cold fragments with a frame, the PLT and signal trampolines.
  bool starts_at_call = true;
};

// __fentry__, mcount, _mcount: what -mfentry and -pg make functions call.
bool IsProfilerName(absl::string_view symbol);

struct Module {
  std::string path;
  std::string file;                // where it was read, if not at `path`
  std::string debug_file;          // separate debug information that belongs to it, or empty
  std::vector<std::string> notes;  // what was found and not used, a sentence each
  std::string soname;              // DT_SONAME or empty
  std::string interpreter;         // PT_INTERP or empty
  std::vector<uint8_t> build_id;   // GNU note, else a hash of the segments
  bool build_id_is_hash = false;
  uint64_t entry = 0;                  // e_entry
  bool is_pie = false;                 // ET_DYN: has a load bias
  bool is_program = false;             // can be executed, not only loaded
  bool has_symtab = false;             // its own or its debug file's; else exported names only
  bool is_dynamic_loader = false;      // ld-linux: never hooked
  bool has_go_runtime = false;         // stacks move
  bool unwinder_is_hidden = false;     // it has one, and its lookup was not found
  std::vector<Segment> segments;       // PT_LOAD, sorted by vaddr
  std::vector<Function> functions;     // sorted by offset, offsets are unique
  std::vector<CodeRange> code_ranges;  // sorted by offset; empty: no .eh_frame
  // Addends of RELATIVE relocations that point into code, sorted: pointers to
  // functions and to labels that appear in data.
  std::vector<uint64_t> code_pointers;
  // Words that the loader fills with the address of a profiler's entry function
  // (IsProfilerName), sorted.
  std::vector<uint64_t> profiler_slots;

  // The part of the segment's file content that starts at `address`; empty when
  // the address has no content.
  absl::Span<const uint8_t> BytesAt(uint64_t address) const;
  const Segment* SegmentAt(uint64_t address) const;  // nullptr if none
  // Index of the function that contains the address, or -1.
  int64_t FunctionAt(uint64_t address) const;
  // The file name without its folders.
  std::string Basename() const;
};

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_MODULE_H_
