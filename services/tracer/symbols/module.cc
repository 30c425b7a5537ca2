#include "services/tracer/symbols/module.h"

#include <algorithm>

namespace flightrec::symbols {

const Segment* Module::SegmentAt(uint64_t address) const {
  for (const Segment& segment : segments) {
    if (segment.Contains(address)) return &segment;
  }
  return nullptr;
}

absl::Span<const uint8_t> Module::BytesAt(uint64_t address) const {
  const Segment* segment = SegmentAt(address);
  if (segment == nullptr) return {};
  return absl::MakeConstSpan(segment->bytes).subspan(address - segment->vaddr);
}

int64_t Module::FunctionAt(uint64_t address) const {
  auto after = std::upper_bound(functions.begin(), functions.end(), address,
                                [](uint64_t a, const Function& f) { return a < f.offset; });
  if (after == functions.begin()) return -1;
  const Function& candidate = *(after - 1);
  if (address - candidate.offset >= candidate.size) return -1;
  return (after - 1) - functions.begin();
}

bool IsProfilerName(absl::string_view symbol) {
  return symbol == "__fentry__" || symbol == "mcount" || symbol == "_mcount";
}

std::string Module::Basename() const { return path.substr(path.find_last_of('/') + 1); }

}  // namespace flightrec::symbols
