// What kind of program an ELF file is, as far as it matters for hooking it.
//
// Stateless, thread-safe; reads headers only.
#ifndef SERVICES_TRACER_HOST_ELF_KIND_H_
#define SERVICES_TRACER_HOST_ELF_KIND_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace flightrec::host {

struct ElfKind {
  bool is_64_bit = false;
  uint16_t machine = 0;  // EM_X86_64 ...
  // The rest is known of 64-bit x86 only.
  std::string interpreter;  // the dynamic loader; empty for a static program
  bool is_go = false;
  bool has_symtab = false;            // not stripped
  bool is_flightrec_service = false;  // common/rpc's server is in it
  std::vector<uint8_t> build_id;      // empty: none

  bool is_static() const { return interpreter.empty(); }
};

// "32-bit x86", "64-bit ARM", ...
std::string MachineName(const ElfKind& kind);

// NOT_FOUND, PERMISSION_DENIED: the file; INVALID_ARGUMENT: not ELF, or damaged.
absl::StatusOr<ElfKind> ReadElfKind(const std::string& path);

}  // namespace flightrec::host

#endif  // SERVICES_TRACER_HOST_ELF_KIND_H_
