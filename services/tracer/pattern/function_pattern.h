// Which functions a user wants to trace. Immutable after Parse, thread-safe.
// Does not read files and does not decide whether a function can be hooked.
//
//   term      = ["!"] [module ":"] what      "!" takes functions away again
//   module    = glob over the file name      "libz.so*:deflate*"
//   what      = name | "@file:" source | "@usercode"
//   name      = glob over the demangled name with or without its arguments, or
//               over the symbol              "ns::Foo::*", "main", "_ZN3*"
//   source    = glob over the path of the source file or over its end
//                                            "@file:parser.cc", "@file:src/*"
//   "@usercode" = functions of the program, not of the system (user_code.h)
//   "**"      = every function of every module, the same as "*:*"
//
// "*" stands for any characters, "::" and "/" included, "?" for one. A name
// without a module means the main executable; "@file:" and "@usercode" without
// one mean the main executable and the libraries that are not the system's. A
// name stands for the parts that the compiler made of the function too
// ("foo [clone .constprop.0]").
//
// Terms are separated by commas (those inside brackets belong to a name) or
// given as several values. Order does not matter: a function is selected when an
// including term matches it and no excluding one does. An excluding term without
// a module holds for every module. When all terms exclude, "*" is implied.

#ifndef SERVICES_TRACER_PATTERN_FUNCTION_PATTERN_H_
#define SERVICES_TRACER_PATTERN_FUNCTION_PATTERN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/symbols/source_lines.h"

namespace flightrec::pattern {

struct ModuleRef {
  const symbols::Module* module = nullptr;  // not owned
  bool is_main_executable = false;
  // Of all functions, where WantsLines; not owned. nullptr: no function has a
  // source file.
  const symbols::SourceLines* lines = nullptr;
};

// `functions` are indices into module->functions, ascending. Cold fragments,
// IFUNC resolvers and compiler glue are included: the planner refuses them with
// a reason.
struct Selection {
  uint32_t module = 0;  // index into the modules given to Select
  std::vector<uint32_t> functions;
};

// What becomes of an including term that matches nothing.
enum class Unmatched {
  kRefuse,
  kRefuseUnlessLater,  // a library that it names, and that is not there, may be loaded later
  kIgnore,
};

class FunctionPattern {
 public:
  // INVALID_ARGUMENT: an empty term, or a form that is not known; the message
  // has the place in the value and an example.
  static absl::StatusOr<FunctionPattern> Parse(absl::Span<const std::string> values);

  // Whether any term could select functions of this module: modules for which
  // it is false need not be read. `path`: a bare file name is not the system's.
  bool WantsModule(absl::string_view path, bool is_main_executable) const;

  // Whether a term asks for the source files of this module's functions.
  bool WantsLines(absl::string_view path, bool is_main_executable) const;

  bool Matches(const ModuleRef& module, const symbols::Function& function) const;

  // One Selection per module that has a selected function. NOT_FOUND when an
  // including term matches nothing in any of the modules; the message has the
  // number of functions searched and up to kSuggestions names that come close.
  absl::StatusOr<std::vector<Selection>> Select(absl::Span<const ModuleRef> modules,
                                                Unmatched unmatched = Unmatched::kRefuse) const;

  // Whether it could select functions of a library that is loaded later.
  bool WantsLibraries() const;

  // Including terms that name a library of which none is among `modules`.
  std::vector<std::string> LaterTerms(absl::Span<const ModuleRef> modules) const;

  static constexpr int kSuggestions = 5;

 private:
  enum class Subject { kName, kSource, kUserCode };

  struct Term {
    std::string text;  // as the user wrote it, for messages
    bool exclude = false;
    Subject subject = Subject::kName;
    std::string module_glob;  // empty: none was given
    std::string glob;         // over names or sources
  };

  class TermParser;

  static bool TermWantsModule(const Term& term, absl::string_view path, bool is_main_executable);
  static bool TermMatches(const Term& term, const ModuleRef& module,
                          const symbols::Function& function);
  static bool WantsLibraries(const Term& term);
  static bool WaitsForLibrary(const Term& term, absl::Span<const ModuleRef> modules);
  // NOT_FOUND when the term matches no function of the modules.
  static absl::Status CheckMatches(const Term& term, absl::Span<const ModuleRef> modules);
  static std::vector<std::string> CloseNames(const Term& term, absl::Span<const ModuleRef> modules);

  std::vector<Term> terms_;
};

}  // namespace flightrec::pattern

#endif  // SERVICES_TRACER_PATTERN_FUNCTION_PATTERN_H_
