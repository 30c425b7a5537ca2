// Names of Rust functions for people: the v0 mangling ("_R...", RFC 2603) and
// the legacy one, which is a C++ name that ends in a hash. Pure functions,
// thread-safe. Takes any text; depth and length of the result are limited.

#ifndef SERVICES_TRACER_SYMBOLS_RUST_NAMES_H_
#define SERVICES_TRACER_SYMBOLS_RUST_NAMES_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace flightrec::symbols {

// "_RNvNtCs1234_7mycrate3foo3bar" -> "mycrate::foo::bar", without the crates'
// hashes and the types of constants. None when it is not a v0 name.
absl::optional<std::string> DemangleRustV0(absl::string_view symbol);

// "core::fmt::Formatter::new::h0123456789abcdef" -> "core::fmt::Formatter::new",
// with the escapes of the legacy mangling decoded. What does not end in a hash is
// returned unchanged.
std::string DecodeLegacyRust(std::string demangled);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_RUST_NAMES_H_
