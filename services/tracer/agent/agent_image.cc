#include "services/tracer/agent/agent_image.h"

#include <cstring>

namespace flightrec::agent {
namespace {

constexpr uint8_t kBytes[] = {
#include "services/tracer/agent/agent_image.inc"
};
static_assert(sizeof(kBytes) > sizeof(ImageHeader));

}  // namespace

absl::Span<const uint8_t> ImageBytes() { return kBytes; }

ImageHeader GetImageHeader() {
  ImageHeader header;
  memcpy(&header, kBytes, sizeof(header));
  return header;
}

}  // namespace flightrec::agent
