// Calls one empty function from N threads and prints what a call cost the calling thread, so that
// the same source measures every tracer. Usage: leaf_loop CALLS_PER_THREAD THREADS
//
// Prints one line per thread, `thread I cpu_ns_per_call X wall_ns_per_call Y`, then `calls N`.
// Written with pthreads and no C++ library calls inside the loop: an instrumenting compiler sees
// exactly one call per iteration.

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__clang__)
#define ONE_CALL_EACH __attribute__((noinline))
#else
#define ONE_CALL_EACH __attribute__((noipa))
#endif

// Large enough to need a long instruction: tracers that patch cannot hook a function of few bytes.
constexpr long kStep = 1000003;

extern "C" {

ONE_CALL_EACH long Leaf(long value) {
  __asm__ volatile("" : "+r"(value));
  return value + kStep;
}

struct Job {
  long calls;
  double cpu_ns;
  double wall_ns;
  pthread_barrier_t* start;
};

ONE_CALL_EACH double Now(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// The first call registers the thread with a tracer and warms its buffers; it is not timed.
ONE_CALL_EACH void* RunJob(void* argument) {
  Job* job = static_cast<Job*>(argument);
  long value = Leaf(0);
  pthread_barrier_wait(job->start);
  double wall = Now(CLOCK_MONOTONIC);
  double cpu = Now(CLOCK_THREAD_CPUTIME_ID);
  for (long i = 1; i < job->calls; ++i) value = Leaf(value);
  job->cpu_ns = Now(CLOCK_THREAD_CPUTIME_ID) - cpu;
  job->wall_ns = Now(CLOCK_MONOTONIC) - wall;
  return value == job->calls * kStep ? argument : nullptr;
}

}  // extern "C"

int main(int argc, char** argv) {
  constexpr long kMaxThreads = 64;
  long calls = argc == 3 ? atol(argv[1]) : 0;
  long threads = argc == 3 ? atol(argv[2]) : 0;
  if (calls < 2 || threads < 1 || threads > kMaxThreads) {
    fprintf(stderr, "usage: leaf_loop CALLS_PER_THREAD(>=2) THREADS(1..%ld)\n", kMaxThreads);
    return 2;
  }
  pthread_barrier_t start;
  pthread_barrier_init(&start, nullptr, static_cast<unsigned>(threads));
  Job jobs[kMaxThreads] = {};
  pthread_t ids[kMaxThreads];
  for (long i = 0; i < threads; ++i) {
    jobs[i] = {calls, 0, 0, &start};
    if (pthread_create(&ids[i], nullptr, RunJob, &jobs[i]) != 0) return 3;
  }
  for (long i = 0; i < threads; ++i) {
    void* result = nullptr;
    pthread_join(ids[i], &result);
    if (result == nullptr) return 4;
    double timed = static_cast<double>(calls - 1);
    printf("thread %ld cpu_ns_per_call %.3f wall_ns_per_call %.3f\n", i, jobs[i].cpu_ns / timed,
           jobs[i].wall_ns / timed);
  }
  printf("calls %ld\n", calls * threads);
  return 0;
}
