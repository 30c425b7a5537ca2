// Calls one empty function from N threads and prints what a call cost the calling thread, so that
// the same source measures every tracer.
// Usage: leaf_loop CALLS_PER_THREAD THREADS [CALLS_PER_SECOND]
//
// With a rate, each thread calls in bursts, one a millisecond, and sleeps in between; the CPU time
// is that of the bursts. Prints one line per thread, `thread I cpu_ns_per_call X wall_ns_per_call
// Y`, then `calls N`. Written with pthreads and no C++ library calls inside the loop: an
// instrumenting compiler sees exactly one call per iteration.

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
  long per_second;  // 0: as fast as it goes
  double cpu_ns;
  double wall_ns;
  pthread_barrier_t* start;
};

ONE_CALL_EACH double Now(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

ONE_CALL_EACH long RunBurst(long value, long calls) {
  for (long i = 0; i < calls; ++i) value = Leaf(value);
  return value;
}

ONE_CALL_EACH void SleepUntil(double ns) {
  long whole = static_cast<long>(ns / 1e9);
  struct timespec due = {whole, static_cast<long>(ns - static_cast<double>(whole) * 1e9)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr);
}

// The first call registers the thread with a tracer and warms its buffers; it is not timed.
ONE_CALL_EACH void* RunJob(void* argument) {
  Job* job = static_cast<Job*>(argument);
  long value = Leaf(0);
  pthread_barrier_wait(job->start);
  double wall = Now(CLOCK_MONOTONIC);
  constexpr long kBurstsPerSecond = 1000;
  long burst = job->per_second == 0 ? job->calls : job->per_second / kBurstsPerSecond;
  for (long done = 1; done < job->calls;) {
    long count = job->calls - done < burst ? job->calls - done : burst;
    double cpu = Now(CLOCK_THREAD_CPUTIME_ID);
    value = RunBurst(value, count);
    job->cpu_ns += Now(CLOCK_THREAD_CPUTIME_ID) - cpu;
    done += count;
    if (job->per_second == 0) continue;
    SleepUntil(wall + 1e9 * static_cast<double>(done) / static_cast<double>(job->per_second));
  }
  job->wall_ns = Now(CLOCK_MONOTONIC) - wall;
  return value == job->calls * kStep ? argument : nullptr;
}

}  // extern "C"

int main(int argc, char** argv) {
  constexpr long kMaxThreads = 64;
  bool right = argc == 3 || argc == 4;
  long calls = right ? atol(argv[1]) : 0;
  long threads = right ? atol(argv[2]) : 0;
  long per_second = argc == 4 ? atol(argv[3]) : 0;
  right = calls >= 2 && threads >= 1 && threads <= kMaxThreads;
  if (!right || (argc == 4 && per_second < 1000)) {
    fprintf(stderr,
            "usage: leaf_loop CALLS_PER_THREAD(>=2) THREADS(1..%ld) [CALLS_PER_SECOND(>=1000)]\n",
            kMaxThreads);
    return 2;
  }
  pthread_barrier_t start;
  pthread_barrier_init(&start, nullptr, static_cast<unsigned>(threads));
  Job jobs[kMaxThreads] = {};
  pthread_t ids[kMaxThreads];
  for (long i = 0; i < threads; ++i) {
    jobs[i] = {calls, per_second, 0, 0, &start};
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
