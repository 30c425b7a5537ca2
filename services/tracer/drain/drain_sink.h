// Where drained calls go. Implemented by whoever sends them to the backend.
//
// Called from the drain loop's thread only. Must not block: the traced threads fill their lanes
// meanwhile.
#ifndef SERVICES_TRACER_DRAIN_DRAIN_SINK_H_
#define SERVICES_TRACER_DRAIN_DRAIN_SINK_H_

#include <cstdint>
#include <string>

#include "common/ids/entity_id.h"

namespace flightrec::drain {

struct DrainedThread {
  ids::ThreadId thread_id = 0;
  uint32_t tid = 0;
  // Order of registration in the process, from 1.
  uint64_t ordinal = 0;
};

struct EncodedChunk {
  std::string bytes;
  uint64_t calls = 0;
};

class DrainSink {
 public:
  virtual ~DrainSink() = default;

  // Before the first chunk of the thread.
  virtual void OnThread(const DrainedThread& thread) = 0;

  // False: there was no room and the chunk is dropped. Its calls then count as lost in the
  // thread's next chunk.
  virtual bool OnChunk(EncodedChunk chunk) = 0;

  // The last chunk of a thread; it has no calls. To be taken in any case: it says what was lost and
  // which calls never ended.
  virtual void OnFinalChunk(EncodedChunk chunk) = 0;
};

}  // namespace flightrec::drain

#endif  // SERVICES_TRACER_DRAIN_DRAIN_SINK_H_
