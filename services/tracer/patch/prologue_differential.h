// Plans every function of a module, moves the displaced instructions and runs
// originals and copies in an emulator on the same random machine states. For
// tests; stateless function.

#ifndef SERVICES_TRACER_PATCH_PROLOGUE_DIFFERENTIAL_H_
#define SERVICES_TRACER_PATCH_PROLOGUE_DIFFERENTIAL_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/tracer/patch/emulator.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::patch {

struct DifferentialOptions {
  uint32_t states = 8;  // a site is run on
  uint32_t every = 1;   // only each n-th site is run
  uint64_t seed = 1;
  uint64_t load_bias = 0x7f1200000000;  // of a position independent module
};

struct DifferentialReport {
  uint64_t functions = 0;
  uint64_t eligible = 0;                    // not refused for what they are, of kPatchBytes or more
  uint64_t hooked = 0;                      // of the eligible ones
  uint64_t compared = 0;                    // sites of which at least one run was compared
  uint64_t runs = 0;                        // compared, on one state each
  std::map<std::string, uint64_t> refused;  // functions, by reason
  std::map<std::string, uint64_t> excluded;  // sites that cannot be emulated, by cause
  uint64_t different = 0;                    // sites
  std::vector<std::string> differences;      // the first kMaxDifferences of them

  static constexpr size_t kMaxDifferences = 20;
  double HookedShare() const;
  std::string Text() const;
};

absl::StatusOr<DifferentialReport> CompareCopies(const symbols::Module& module,
                                                 const DifferentialOptions& options);

}  // namespace flightrec::patch

#endif  // SERVICES_TRACER_PATCH_PROLOGUE_DIFFERENTIAL_H_
