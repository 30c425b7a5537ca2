// Names of functions for people, and what a name says about a function. Pure
// functions, thread-safe.

#ifndef SERVICES_TRACER_SYMBOLS_NAMES_H_
#define SERVICES_TRACER_SYMBOLS_NAMES_H_

#include <string>

#include "absl/strings/string_view.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::symbols {

// "_ZN2ns3fooEi" -> "ns::foo(int)", "work.constprop.0" -> "work [clone
// .constprop.0]", Rust's names without hashes; what cannot be demangled is
// returned unchanged.
std::string Demangle(const std::string& symbol);

// "foo(int) [clone .part.0]" -> "foo(int)".
absl::string_view WithoutCloneMark(absl::string_view name);

// "_Z3fooi.part.0" -> "_Z3fooi".
absl::string_view WithoutCloneSuffix(absl::string_view symbol);

// "int ns::max<int>(int, int) const [clone .cold]" -> "ns::max<int>". ABI
// tags are left out.
std::string ShortName(absl::string_view demangled);

// What the name alone says; kFunction if nothing.
Kind KindOfSymbol(absl::string_view symbol);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_NAMES_H_
