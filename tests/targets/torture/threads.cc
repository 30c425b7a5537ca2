#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "torture.h"

extern "C" int ThrowAt(int depth, int value);

namespace {

pthread_t Create(void* (*run)(void*), void* argument = nullptr) {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, run, argument) != 0) std::abort();
  return thread;
}

pthread_barrier_t all_there;

}  // namespace

COUNTED void* OneOfMany(void* argument) {
  const auto self = static_cast<int>(reinterpret_cast<intptr_t>(argument));
  pthread_barrier_wait(&all_there);
  intptr_t sum = 0;
  for (int i = 0; i < 100; ++i) sum += Leaf(self);
  return reinterpret_cast<void*>(sum);
}

COUNTED void* OneOfASeries(void* argument) {
  Guard guard;
  return argument;
}

COUNTED void ExitThread(int depth) {
  Guard guard;
  if (depth == 0) pthread_exit(nullptr);
  ExitThread(depth - 1);
  NOT_LAST;
}

COUNTED void* OuterOfExit(void*) {
  Guard guard;
  ExitThread(3);
  return nullptr;
}

namespace {

int Many() {
  constexpr int kThreads = 40;
  pthread_barrier_init(&all_there, nullptr, kThreads);
  pthread_t threads[kThreads];
  intptr_t number = 0;
  for (pthread_t& thread : threads) thread = Create(OneOfMany, reinterpret_cast<void*>(number++));
  intptr_t sum = 0;
  for (pthread_t thread : threads) {
    void* result = nullptr;
    pthread_join(thread, &result);
    sum += reinterpret_cast<intptr_t>(result);
  }
  std::printf("%ld\n", static_cast<long>(sum));
  return 0;
}

int Series() {
  for (int i = 0; i < 50; ++i) pthread_join(Create(OneOfASeries), nullptr);
  std::printf("%d\n", sink);
  return 0;
}

int Exit() {
  for (int i = 0; i < 10; ++i) pthread_join(Create(OuterOfExit), nullptr);
  std::printf("%d\n", sink);
  return 0;
}

sem_t ready;

}  // namespace

COUNTED void WaitToBeCancelled(int depth) {
  Guard guard;
  if (depth > 0) {
    WaitToBeCancelled(depth - 1);
    NOT_LAST;
    return;
  }
  sem_post(&ready);
  for (;;) pause();
}

COUNTED void LoopUntilCancelled(int depth) {
  Guard guard;
  if (depth > 0) {
    LoopUntilCancelled(depth - 1);
    NOT_LAST;
    return;
  }
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
  sem_post(&ready);
  for (;;) NOT_LAST;
}

// Catching a cancellation for a while is allowed.
COUNTED void* CancelledLater(void* body) {
  try {
    reinterpret_cast<void (*)(int)>(body)(3);
  } catch (...) {
    sink = Leaf(sink);
    throw;
  }
  return nullptr;
}

namespace {

int CancelTen(void (*body)(int)) {
  sem_init(&ready, 0, 0);
  int cancelled = 0;
  for (int i = 0; i < 10; ++i) {
    const pthread_t thread = Create(CancelledLater, reinterpret_cast<void*>(body));
    while (sem_wait(&ready) != 0) {
    }
    pthread_cancel(thread);
    void* result = nullptr;
    pthread_join(thread, &result);
    if (result == PTHREAD_CANCELED) ++cancelled;
  }
  std::printf("%d, %d\n", cancelled, sink);
  return 0;
}

int Cancel() { return CancelTen(WaitToBeCancelled); }
int CancelAsynchronously() { return CancelTen(LoopUntilCancelled); }

std::atomic<int> detached_sum;

}  // namespace

COUNTED int DetachedWork(int value) { return Leaf(value); }

COUNTED void* Detached(void*) {
  for (int i = 0; i < 10; ++i) detached_sum += DetachedWork(i);
  sem_post(&ready);
  return nullptr;
}

namespace {

int DetachedThreads() {
  sem_init(&ready, 0, 0);
  for (int i = 0; i < 20; ++i) pthread_detach(Create(Detached));
  for (int i = 0; i < 20; ++i) {
    while (sem_wait(&ready) != 0) {
    }
  }
  std::printf("%d\n", detached_sum.load());
  return 0;
}

}  // namespace

COUNTED void* ThrowInThread(void* error) {
  int sum = 0;
  for (int i = 0; i < 100; ++i) {
    try {
      ThrowAt(3, i);
    } catch (int value) {
      sum += value;
    }
  }
  try {
    ThrowAt(1, sum);
  } catch (...) {
    *static_cast<std::exception_ptr*>(error) = std::current_exception();
  }
  return nullptr;
}

namespace {

// Threads that throw at the same time; their last exceptions go to this one.
int Exceptions() {
  constexpr int kThreads = 4;
  pthread_t threads[kThreads];
  std::exception_ptr errors[kThreads];
  for (int i = 0; i < kThreads; ++i) threads[i] = Create(ThrowInThread, &errors[i]);
  int sum = 0;
  for (int i = 0; i < kThreads; ++i) {
    pthread_join(threads[i], nullptr);
    try {
      std::rethrow_exception(errors[i]);
    } catch (int value) {
      sum += value;
    }
  }
  std::printf("%d\n", sum);
  return 0;
}

}  // namespace

COUNTED void KeyDestroyed(void* value) { sink = Leaf(*static_cast<int*>(value)); }

COUNTED void LocalDestroyed() { sink = Leaf(sink); }

namespace {

pthread_key_t key;

struct ThreadLocal {
  bool used = false;
  ~ThreadLocal() { LocalDestroyed(); }
};
thread_local ThreadLocal thread_local_object;

}  // namespace

COUNTED void* UseLocals(void* value) {
  pthread_setspecific(key, value);
  thread_local_object.used = true;
  return nullptr;
}

namespace {

// Code of the program that runs when a thread has left its own.
int Destructors() {
  pthread_key_create(&key, KeyDestroyed);
  int value = 7;
  for (int i = 0; i < 10; ++i) pthread_join(Create(UseLocals, &value), nullptr);
  std::printf("%d\n", sink);
  return 0;
}

// On memory of its own that is unmapped and mapped again in between.
int OwnStacks() {
  constexpr size_t kBytes = 256 * 1024;
  for (int i = 0; i < 20; ++i) {
    void* memory =
        mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, memory, kBytes);
    pthread_t thread;
    pthread_create(&thread, &attributes, OneOfASeries, nullptr);
    pthread_join(thread, nullptr);
    munmap(memory, kBytes);
  }
  std::printf("%d\n", sink);
  return 0;
}

}  // namespace

// Of these threads only some are recorded; the exceptions pass in all of them.
COUNTED void* OneTooMany(void* sum) {
  pthread_barrier_wait(&all_there);
  ThrowInThread(sum);
  pthread_barrier_wait(&all_there);
  return nullptr;
}

namespace {

int BeyondLimit() {
  constexpr int kThreads = 12;
  pthread_barrier_init(&all_there, nullptr, kThreads);
  pthread_t threads[kThreads];
  std::exception_ptr errors[kThreads];
  for (int i = 0; i < kThreads; ++i) threads[i] = Create(OneTooMany, &errors[i]);
  int sum = 0;
  for (int i = 0; i < kThreads; ++i) {
    pthread_join(threads[i], nullptr);
    try {
      std::rethrow_exception(errors[i]);
    } catch (int value) {
      sum += value;
    }
  }
  std::printf("%d\n", sum);
  return 0;
}

pthread_t first_thread;

}  // namespace

COUNTED void* OutliveMain(void*) {
  pthread_join(first_thread, nullptr);
  std::printf("%d\n", Leaf(1));
  std::fflush(stdout);
  return nullptr;
}

namespace {

// The process goes on without its first thread.
int MainExits() {
  first_thread = pthread_self();
  Create(OutliveMain);
  ExitThread(2);
  return 1;
}

}  // namespace

const Case kThreadCases[] = {
    {"thread_many", Many},
    {"thread_series", Series},
    {"thread_exit", Exit},
    {"thread_cancel", Cancel},
    {"thread_cancel_asynchronously", CancelAsynchronously},
    {"thread_detached", DetachedThreads},
    {"thread_exceptions", Exceptions},
    {"thread_destructors", Destructors},
    {"thread_own_stack", OwnStacks},
    {"thread_beyond_limit", BeyondLimit},
    {"thread_main_exits", MainExits},
    {},
};
