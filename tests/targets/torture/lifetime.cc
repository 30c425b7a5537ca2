// Code before main and after exit.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "torture.h"

extern "C" int ThrowAt(int depth, int value);

namespace {
int before_main;
}  // namespace

COUNTED void GlobalMade() { before_main = before_main + 1; }

COUNTED int BeforeMain(int value) {
  try {
    ThrowAt(2, value);
  } catch (int caught) {
    return Leaf(caught);
  }
  return 0;
}

COUNTED void AfterExit(const char* who) {
  try {
    ThrowAt(2, 1);
  } catch (int) {
    std::printf("%s %d\n", who, Leaf(before_main));
  }
}

namespace {

bool Concerned() { return CaseIs("lifetime") || CaseIs("exit_in_handler"); }

struct Global {
  Global() { GlobalMade(); }
  ~Global() {
    if (Concerned()) AfterExit("global");
  }
};

__attribute__((init_priority(200))) Global early;
Global late;

}  // namespace

// Not by its own arguments: -flto calls constructors without any.
COUNTED __attribute__((constructor)) void RunsBeforeMain() {
  char line[4096] = "";
  FILE* file = std::fopen("/proc/self/cmdline", "r");
  if (file == nullptr) return;
  const size_t bytes = std::fread(line, 1, sizeof(line) - 1, file);
  std::fclose(file);
  const size_t name = std::strlen(line) + 1;
  if (name < bytes && std::strcmp(line + name, "lifetime") == 0) before_main += BeforeMain(10);
}

extern "C" __attribute__((destructor)) void RunsAfterExit() {
  if (Concerned()) AfterExit("destructor");
}

COUNTED void AtExit() { AfterExit("atexit"); }

COUNTED void ExitHere(int depth) {
  Guard guard;  // exit leaves it
  if (depth == 0) std::exit(6);
  ExitHere(depth - 1);
  NOT_LAST;
}

COUNTED void ExitAgain() { std::exit(8); }

COUNTED void AtQuickExit() {
  std::printf("quick %d\n", Leaf(1));
  std::fflush(stdout);
}

namespace {

int Lifetime() {
  std::atexit(AtExit);
  std::printf("main %d\n", before_main);
  ExitHere(3);
  return 0;
}

int ExitInHandler() {
  std::atexit(AtExit);
  std::atexit(ExitAgain);
  ExitHere(1);
  return 0;
}

int QuickExit() {
  std::at_quick_exit(AtQuickExit);
  std::quick_exit(4);
}

}  // namespace

COUNTED void CrashAt(int depth) {
  if (depth == 0) *reinterpret_cast<volatile int*>(8) = 1;
  CrashAt(depth - 1);
  NOT_LAST;
}

namespace {

int CrashDeep() {
  std::printf("%d\n", Leaf(1));
  std::fflush(stdout);
  CrashAt(3);
  return 0;
}

}  // namespace

const Case kLifetimeCases[] = {
    {"lifetime", Lifetime},
    {"exit_in_handler", ExitInHandler},
    {"quick_exit", QuickExit},
    {"crash", CrashDeep},
    {},
};
