// The agent's machine code as it is copied into a process.
//
// Immutable, thread-safe. The bytes are position independent and start with an
// agent::ImageHeader.
#ifndef SERVICES_TRACER_AGENT_AGENT_IMAGE_H_
#define SERVICES_TRACER_AGENT_AGENT_IMAGE_H_

#include <cstdint>

#include "absl/types/span.h"
#include "services/tracer/agent/state.h"

namespace flightrec::agent {

absl::Span<const uint8_t> ImageBytes();

ImageHeader GetImageHeader();

}  // namespace flightrec::agent

#endif  // SERVICES_TRACER_AGENT_AGENT_IMAGE_H_
