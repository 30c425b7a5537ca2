// The two ends of a lane's ring in C++: the producer as the agent's slow path
// runs it (the stubs do the same in machine code) and the consumer.
//
// Single producer (one thread, its signal handlers included), single consumer.
// Freestanding. A full ring is refused, never overwritten; counting the loss is
// the caller's.
#ifndef SERVICES_TRACER_LANE_RING_H_
#define SERVICES_TRACER_LANE_RING_H_

#include <stddef.h>
#include <stdint.h>

#include "services/tracer/lane/layout.h"

namespace flightrec::lane {

// What a ring is made of; the pointers are owned by whoever mapped the lane.
struct Ring {
  SlotControl* control;
  unsigned char* bytes;
  uint32_t size;  // power of two
};

inline uint64_t* RecordAt(const Ring& ring, uint64_t position) {
  return reinterpret_cast<uint64_t*>(ring.bytes + (position & (ring.size - 1)));
}

inline uint64_t ThirdWord(const CallRecord& record) {
  return record.function_index | (static_cast<uint64_t>(record.ordinal_low) << 32);
}

// Writes `record` at a place the producer has taken, and publishes it unless
// someone in front of it is still writing.
//
// `*reserved` is the producer's own position behind the last place taken; the
// head follows it. A signal handler that interrupts the writing of a record
// takes the place behind it and leaves the head alone, so a record is never
// visible before the ones in front of it are complete; the interrupted writer
// publishes both. Atomics on `*reserved` are relaxed: only towards signal
// handlers of the same thread.
inline void Complete(const Ring& ring, const uint64_t* reserved, uint64_t place,
                     const CallRecord& record) {
  uint64_t* words = RecordAt(ring, place);
  __atomic_store_n(&words[0], record.start_ticks, __ATOMIC_RELAXED);
  __atomic_store_n(&words[1], record.end_ticks, __ATOMIC_RELAXED);
  __atomic_store_n(&words[2], record.path, __ATOMIC_RELAXED);
  __atomic_store_n(&words[3], ThirdWord(record), __ATOMIC_RELAXED);
  if (__atomic_load_n(&ring.control->head, __ATOMIC_RELAXED) != place) return;
  uint64_t end;
  do {
    end = __atomic_load_n(reserved, __ATOMIC_RELAXED);
    // Release: pairs with the acquire in Consume, which then sees the words.
    __atomic_store_n(&ring.control->head, end, __ATOMIC_RELEASE);
  } while (end != __atomic_load_n(reserved, __ATOMIC_RELAXED));
}

// Takes the next place for `record` and completes it, if the place is below
// `limit`, the position up to which the producer may write. False: nothing was
// written. `*noted` becomes the place before it is taken.
inline bool Publish(const Ring& ring, uint64_t* reserved, uint64_t limit, uint64_t* noted,
                    const CallRecord& record) {
  uint64_t place = __atomic_load_n(reserved, __ATOMIC_RELAXED);
  do {
    if (place >= limit) return false;
    __atomic_store_n(noted, place, __ATOMIC_RELAXED);
  } while (!__atomic_compare_exchange_n(reserved, &place, place + sizeof(CallRecord), false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  Complete(ring, reserved, place, record);
  return true;
}

// The position up to which the producer may write now.
inline uint64_t WriteLimit(const Ring& ring) {
  // Acquire: pairs with the release in Consume; the consumer has finished
  // reading what lies before the tail.
  return __atomic_load_n(&ring.control->tail, __ATOMIC_ACQUIRE) + ring.size;
}

// Moves up to `capacity` records to `out`, oldest first.
inline size_t Consume(const Ring& ring, CallRecord* out, size_t capacity) {
  // Relaxed: only this thread writes the tail.
  uint64_t tail = __atomic_load_n(&ring.control->tail, __ATOMIC_RELAXED);
  // Acquire: pairs with the release in Publish, or with the stub's store of
  // the head (x86 keeps stores in order).
  const uint64_t head = __atomic_load_n(&ring.control->head, __ATOMIC_ACQUIRE);
  // A target that wrote over its own lane must not make us read beyond it.
  if (head - tail > ring.size || (head - tail) % sizeof(CallRecord) != 0) {
    return 0;
  }
  size_t count = 0;
  for (; count < capacity && tail != head; ++count) {
    const uint64_t* words = RecordAt(ring, tail);
    const uint64_t third = __atomic_load_n(&words[3], __ATOMIC_RELAXED);
    out[count] = {__atomic_load_n(&words[0], __ATOMIC_RELAXED),
                  __atomic_load_n(&words[1], __ATOMIC_RELAXED),
                  __atomic_load_n(&words[2], __ATOMIC_RELAXED), static_cast<uint32_t>(third),
                  static_cast<uint32_t>(third >> 32)};
    tail += sizeof(CallRecord);
  }
  // Release: pairs with the acquire in WriteLimit.
  __atomic_store_n(&ring.control->tail, tail, __ATOMIC_RELEASE);
  return count;
}

}  // namespace flightrec::lane

#endif  // SERVICES_TRACER_LANE_RING_H_
