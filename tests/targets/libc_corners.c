/* What a C library does in corners of its own: threads, cancellation, signals, jumps, processes and
   libraries loaded later. Built by hand against other C libraries than the system's.
   Usage: libc_corners [LIBRARY], a library that has `int plugin_twice(int)`.
   Calls: add_one 1000 for each of 40 threads, deep_exit 41 for each of 8, jump_out 100, on_signal 50,
   compare_numbers as often as qsort asks, wait_for_ever 5, in_child not at all in the parent. */

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define ONE_CALL_EACH __attribute__((noipa))
#define ROUNDS 5
#define AT_ONCE 8
#define CALLS 1000
#define DEPTH 40
#define JUMPS 100
#define SIGNALS 50

extern char** environ;

static __thread long own_sum;
static long sums[AT_ONCE];
static jmp_buf back;
static volatile sig_atomic_t signals;

ONE_CALL_EACH static long add_one(long value) { return value + 1; }

ONE_CALL_EACH static void* add_many(void* slot) {
  for (int i = 0; i < CALLS; ++i) own_sum = add_one(own_sum);
  *(long*)slot = own_sum;
  return NULL;
}

ONE_CALL_EACH static void deep_exit(int depth) {
  if (depth == 0) pthread_exit((void*)7);
  deep_exit(depth - 1);
  __asm__ volatile(""); /* keeps the call from becoming a jump */
}

ONE_CALL_EACH static void* exit_from_below(void* unused) {
  (void)unused;
  deep_exit(DEPTH);
  return NULL;
}

ONE_CALL_EACH static void clean_up(void* count) { ++*(int*)count; }

ONE_CALL_EACH static void* wait_for_ever(void* ends) {
  static int cleaned;
  char byte;
  pthread_cleanup_push(clean_up, &cleaned);
  while (read(*(int*)ends, &byte, 1) != 0) {
  }
  pthread_cleanup_pop(1);
  return NULL;
}

ONE_CALL_EACH static void jump_out(int value) { longjmp(back, value); }

ONE_CALL_EACH static void on_signal(int number) {
  (void)number;
  ++signals;
}

ONE_CALL_EACH static int compare_numbers(const void* left, const void* right) {
  return (*(const int*)left > *(const int*)right) - (*(const int*)left < *(const int*)right);
}

ONE_CALL_EACH static int in_child(void) { return 3; }

static void run_threads(void) {
  long total = 0;
  pthread_t threads[AT_ONCE];
  for (int round = 0; round < ROUNDS; ++round) {
    for (int i = 0; i < AT_ONCE; ++i) pthread_create(&threads[i], NULL, add_many, &sums[i]);
    for (int i = 0; i < AT_ONCE; ++i) {
      pthread_join(threads[i], NULL);
      total += sums[i];
    }
  }
  printf("threads %ld\n", total);
  long results = 0;
  for (int i = 0; i < AT_ONCE; ++i) pthread_create(&threads[i], NULL, exit_from_below, NULL);
  for (int i = 0; i < AT_ONCE; ++i) {
    void* result;
    pthread_join(threads[i], &result);
    results += (long)result;
  }
  printf("exits %ld\n", results);
}

static void cancel_threads(void) {
  int ends[2];
  int cancelled = 0;
  if (pipe(ends) != 0) exit(1);
  for (int i = 0; i < ROUNDS; ++i) {
    pthread_t thread;
    void* result;
    pthread_create(&thread, NULL, wait_for_ever, &ends[0]);
    /* It has nothing to read, whenever this comes. */
    pthread_cancel(thread);
    pthread_join(thread, &result);
    cancelled += result == PTHREAD_CANCELED;
  }
  printf("cancelled %d\n", cancelled);
}

static void jump_and_signal(void) {
  static volatile int jumps;
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  stack_t stack = {.ss_size = 65536};
  if (setjmp(back) != 0) ++jumps;
  if (jumps < JUMPS) jump_out(jumps + 1);
  stack.ss_sp = malloc(stack.ss_size);
  sigaltstack(&stack, NULL);
  sigaction(SIGUSR1, &action, NULL);
  for (int i = 0; i < SIGNALS; ++i) raise(SIGUSR1);
  printf("jumps %d signals %d\n", jumps, (int)signals);
}

static void run_processes(void) {
  int status = 0;
  char* const arguments[] = {(char*)"true", NULL};
  pid_t child = fork();
  if (child == 0) _exit(in_child());
  waitpid(child, &status, 0);
  printf("child %d\n", WEXITSTATUS(status));
  if (posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) != 0) exit(1);
  waitpid(child, &status, 0);
  printf("spawned %d\n", WEXITSTATUS(status));
}

static void use_library(const char* path) {
  void* library = dlopen(path, RTLD_NOW);
  int (*twice)(int) = library == NULL ? NULL : (int (*)(int))dlsym(library, "plugin_twice");
  if (twice == NULL) {
    printf("no library\n");
    exit(1);
  }
  int sum = 0;
  for (int i = 0; i < CALLS; ++i) sum += twice(i);
  printf("library %d\n", sum);
  dlclose(library);
}

int main(int argc, char** argv) {
  static int numbers[CALLS];
  for (int i = 0; i < CALLS; ++i) numbers[i] = i * 7919 % 1009;
  qsort(numbers, CALLS, sizeof(numbers[0]), compare_numbers);
  printf("smallest %d\n", numbers[0]);
  fflush(stdout);
  run_threads();
  cancel_threads();
  jump_and_signal();
  fflush(stdout);
  run_processes();
  if (argc > 1) use_library(argv[1]);
  return 0;
}
