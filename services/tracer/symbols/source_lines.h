// From which file and line the functions of a module were made, as its debug
// information says. Immutable once read, then safe to share between threads.

#ifndef SERVICES_TRACER_SYMBOLS_SOURCE_LINES_H_
#define SERVICES_TRACER_SYMBOLS_SOURCE_LINES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::symbols {

struct SourceLine {
  absl::string_view file;  // empty: not known; refers to the SourceLines
  uint32_t line = 0;       // 0: not known
};

class SourceLines {
 public:
  // The line of a function's first instruction: of its name, or of its "{" when
  // the compiler was clang. `offset` is Function::offset.
  SourceLine At(uint64_t offset) const;

  size_t size() const { return places_.size(); }

  // What could not be read and why, a sentence; empty when all was read or the
  // module has no debug information.
  const std::string& note() const { return note_; }

 private:
  friend class SourceLinesReader;
  friend SourceLines ReadSourceLines(const Module& module, absl::Span<const uint32_t> functions);

  struct Place {
    uint32_t file;  // index into files_
    uint32_t line;
  };

  std::vector<std::string> files_;
  absl::flat_hash_map<uint64_t, Place> places_;
  std::string note_;
};

// Lines of `functions` (indices into module.functions), from .debug_line of the
// module's file or of its separate debug file. Never fails: damaged debug
// information leaves functions without a line. Time is linear in the size of
// .debug_line, memory is that of its largest unit, or of the whole section when
// it is compressed.
SourceLines ReadSourceLines(const Module& module, absl::Span<const uint32_t> functions);

// Of all functions.
SourceLines ReadSourceLines(const Module& module);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_SOURCE_LINES_H_
