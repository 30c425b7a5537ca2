// Which functions a user wants to trace. Immutable after Parse, thread-safe.
// Does not read files and does not decide whether a function can be hooked.
//
//   term      = ["!"] [module ":"] name      "!" takes functions away again
//   module    = glob over the file name      "libz.so*:deflate*"; none: the
//                                            main executable
//   name      = glob over the demangled name with or without its arguments, or
//               over the symbol              "ns::Foo::*", "main", "_ZN3*"
//   "**"      = every function of every module, the same as "*:*"
//
// "*" stands for any characters, "?" for one. Terms are separated by commas
// (those inside brackets belong to a name) or given as several values. Order
// does not matter: a function is selected when an including term matches it and
// no excluding one does. An excluding term without a module holds for every
// module. When all terms exclude, "*" is implied.

#ifndef SERVICES_TRACER_PATTERN_FUNCTION_PATTERN_H_
#define SERVICES_TRACER_PATTERN_FUNCTION_PATTERN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::pattern {

struct ModuleRef {
  const symbols::Module* module = nullptr;  // not owned
  bool is_main_executable = false;
};

// `functions` are indices into module->functions, ascending. Cold fragments,
// IFUNC resolvers and compiler glue are included: the planner refuses them with
// a reason.
struct Selection {
  uint32_t module = 0;  // index into the modules given to Select
  std::vector<uint32_t> functions;
};

class FunctionPattern {
 public:
  // INVALID_ARGUMENT: an empty term, or a form that is not known.
  static absl::StatusOr<FunctionPattern> Parse(absl::Span<const std::string> values);

  // Whether any term could select functions of this module: modules for which
  // it is false need not be read.
  bool WantsModule(absl::string_view basename, bool is_main_executable) const;

  bool Matches(absl::string_view basename, bool is_main_executable,
               const symbols::Function& function) const;

  // One Selection per module that has a selected function. NOT_FOUND when an
  // including term matches nothing in any of the modules; the message has the
  // number of functions searched and up to kSuggestions names that come close.
  absl::StatusOr<std::vector<Selection>> Select(absl::Span<const ModuleRef> modules) const;

  static constexpr int kSuggestions = 5;

 private:
  struct Term {
    std::string text;  // as the user wrote it, for messages
    bool exclude = false;
    bool main_only = false;
    std::string module_glob;
    std::string name_glob;
  };

  static absl::StatusOr<Term> ParseTerm(absl::string_view text);
  static bool TermWantsModule(const Term& term, absl::string_view basename,
                              bool is_main_executable);
  static bool TermMatchesName(const Term& term, const symbols::Function& function);
  // NOT_FOUND when the term matches no function of the modules.
  static absl::Status CheckMatches(const Term& term, absl::Span<const ModuleRef> modules);

  std::vector<Term> terms_;
};

}  // namespace flightrec::pattern

#endif  // SERVICES_TRACER_PATTERN_FUNCTION_PATTERN_H_
