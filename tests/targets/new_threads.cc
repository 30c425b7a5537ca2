// What a thread's first call costs more than its later ones. Usage: new_threads THREADS
//
// Starts THREADS threads, one after the other, which stay until the last has measured itself, so
// that each needs a lane of its own. Prints `first_ns X`, the median over the threads of the first
// call of Leaf minus the median later one, and `first_ns_p90 X`.

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

#include <algorithm>
#include <vector>

namespace {

constexpr int kLaterCalls = 101;
constexpr int kMaxThreads = 1000;
constexpr long kStep = 1000003;

pthread_barrier_t measured;
pthread_barrier_t all_measured;
volatile long sink;

struct Times {
  double first;
  double later;
};

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

uint64_t Ticks() {
  _mm_lfence();
  const uint64_t ticks = __rdtsc();
  _mm_lfence();
  return ticks;
}

}  // namespace

extern "C" __attribute__((noipa)) long Leaf(long value) {
  __asm__ volatile("" : "+r"(value));
  return value + kStep;
}

static void* Measure(void* argument) {
  Times* times = static_cast<Times*>(argument);
  const uint64_t before = Ticks();
  sink = Leaf(sink);
  times->first = static_cast<double>(Ticks() - before);
  std::vector<double> later;
  for (int i = 0; i < kLaterCalls; ++i) {
    const uint64_t start = Ticks();
    sink = Leaf(sink);
    later.push_back(static_cast<double>(Ticks() - start));
  }
  times->later = Median(later);
  pthread_barrier_wait(&measured);
  pthread_barrier_wait(&all_measured);
  return nullptr;
}

static double NsPerTick() {
  timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  const uint64_t ticks = Ticks();
  const timespec pause = {0, 50'000'000};
  nanosleep(&pause, nullptr);
  const uint64_t elapsed = Ticks() - ticks;
  clock_gettime(CLOCK_MONOTONIC, &to);
  const double ns = static_cast<double>(to.tv_sec - from.tv_sec) * 1e9 +
                    static_cast<double>(to.tv_nsec - from.tv_nsec);
  return ns / static_cast<double>(elapsed);
}

int main(int argc, char** argv) {
  const int count = argc == 2 ? atoi(argv[1]) : 0;
  if (count < 1 || count > kMaxThreads) {
    fprintf(stderr, "usage: new_threads THREADS (1 to %d)\n", kMaxThreads);
    return 2;
  }
  std::vector<Times> times(count);
  std::vector<pthread_t> threads(count);
  pthread_barrier_init(&measured, nullptr, 2);
  pthread_barrier_init(&all_measured, nullptr, static_cast<unsigned>(count) + 1);
  for (int i = 0; i < count; ++i) {
    pthread_create(&threads[i], nullptr, Measure, &times[i]);
    pthread_barrier_wait(&measured);
  }
  pthread_barrier_wait(&all_measured);
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  std::vector<double> first;
  for (const Times& one : times) first.push_back(one.first - one.later);
  const double scale = NsPerTick();
  std::sort(first.begin(), first.end());
  printf("first_ns %.1f\n", Median(first) * scale);
  printf("first_ns_p90 %.1f\n", first[first.size() * 9 / 10] * scale);
  return 0;
}
