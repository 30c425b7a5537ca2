/* Works until it is killed: three threads and the first one, each a round of work every millisecond.
   A round calls work 64 times and sorts; compare is called as often as qsort asks. */

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define ONE_CALL_EACH __attribute__((noipa))
#define NUMBERS 64

ONE_CALL_EACH static int work(int value) {
  __asm__ volatile(""); /* keeps the call */
  return value * 3 + 1;
}

ONE_CALL_EACH static int compare(const void* left, const void* right) {
  return *(const int*)left - *(const int*)right;
}

ONE_CALL_EACH static void round_of_work(void) {
  int numbers[NUMBERS];
  for (int i = 0; i < NUMBERS; ++i) numbers[i] = work(i * 7919 % 1009);
  qsort(numbers, NUMBERS, sizeof(numbers[0]), compare);
}

static void* work_for_ever(void* unused) {
  const struct timespec pause = {0, 1000000};
  while (1) {
    round_of_work();
    nanosleep(&pause, NULL);
  }
  return unused;
}

int main(void) {
  pthread_t threads[3];
  for (int i = 0; i < 3; ++i) pthread_create(&threads[i], NULL, work_for_ever, NULL);
  work_for_ever(NULL);
  return 0;
}
