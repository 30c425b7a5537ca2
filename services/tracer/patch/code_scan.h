// One look at all code and jump tables of a module that finds what leads into
// the bytes a patch would replace. Immutable after construction, thread-safe;
// reads the file's bytes only. Computed targets that appear nowhere in the file
// as a branch, table entry or relocation are out of its sight.

#ifndef SERVICES_TRACER_PATCH_CODE_SCAN_H_
#define SERVICES_TRACER_PATCH_CODE_SCAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::patch {

enum class ReferenceKind : uint8_t {
  kBranch,      // a direct branch or call at `source`
  kTableEntry,  // the entry at `source` of a table used by position
                // independent code
  kAbsolute,    // 8 bytes at `source` of the data
  kRelocation,  // the addend of a relocation; source is 0
};

struct Reference {
  uint64_t target = 0;
  uint64_t source = 0;
  ReferenceKind kind = ReferenceKind::kBranch;

  std::string Text() const;  // "branch at 0x1234 to 0x1238"
};

enum class BranchKind : uint8_t { kJump, kConditional, kCall };

class CodeScan {
 public:
  // The module must outlive the scan.
  explicit CodeScan(const symbols::Module& module);

  // A reference to an address strictly inside the 5 bytes from `patch_address`,
  // or nullptr. Known only for the patch places of the module's functions.
  const Reference* Inside(uint64_t patch_address) const;

  // A jump of the function to its own start, up to the patch, or nullptr.
  const Reference* LoopToEntry(const symbols::Function& function, uint64_t patch_address) const;

  // A conditional jump of another function to the start of this one, or
  // nullptr. Some compilers make tail calls so; without a symbol it is a cold
  // fragment.
  const Reference* ContinuesAnother(const symbols::Function& function) const;

  // A function or code range starts inside (begin, end).
  bool StartsBetween(uint64_t begin, uint64_t end) const;

  // The function lies inside the symbol of an earlier one.
  bool Nested(uint32_t function) const { return nested_[function]; }

 private:
  struct Marks;  // what matters about each byte of an executable segment

  void CollectStarts();
  std::vector<Marks> MarkPatches() const;
  void ScanCode(const std::vector<Marks>& marks);
  void ScanRegion(const std::vector<Marks>& marks, uint64_t begin, uint64_t end,
                  std::vector<uint64_t>& tables);
  void DecodeBranches(const std::vector<Marks>& marks, uint64_t begin,
                      absl::Span<const uint8_t> bytes);
  bool Matters(const std::vector<Marks>& marks, uint64_t source, uint64_t target,
               BranchKind kind) const;
  bool SameFunction(uint64_t a, uint64_t b) const;
  void AddBranch(const std::vector<Marks>& marks, Reference branch, BranchKind kind);
  void ScanTables(const std::vector<Marks>& marks, std::vector<uint64_t> tables);
  void ScanPointers(const std::vector<Marks>& marks);

  const symbols::Module& module_;
  std::vector<uint64_t> starts_;          // sorted
  std::vector<bool> nested_;              // by function
  std::vector<Reference> inside_;         // sorted by target
  std::vector<Reference> loops_;          // sorted by target
  std::vector<Reference> continuations_;  // sorted by target
};

}  // namespace flightrec::patch

#endif  // SERVICES_TRACER_PATCH_CODE_SCAN_H_
