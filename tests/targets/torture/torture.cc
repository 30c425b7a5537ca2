// torture CASE [FILE [wait|again]]: runs one case; FILE gets the numbers of calls that only the
// program knows, as lines `function TAB calls`.
//
// For tracers that attach: says `ready`, then with `wait` the case is run once standard input has
// a byte; with `again` it is run until then, at least once.

#include "torture.h"

#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

volatile int sink;

COUNTED int Leaf(int a) { return a + 1; }
COUNTED int TailLeaf(int a) { return Leaf(a + 1); }
COUNTED void Cleanup() { sink = Leaf(sink); }

namespace {

constexpr const Case* kAll[] = {kCallCases,   kContextCases,  kEntryCases,   kExceptionCases,
                                kJumpCases,   kLifetimeCases, kProcessCases, kRegisterCases,
                                kSignalCases, kStackCases,    kStepCases,    kThreadCases};

const char* chosen = "";
const char* counts_file;

int List() {
  for (const Case* cases : kAll) {
    for (; cases->name != nullptr; ++cases) std::puts(cases->name);
  }
  return 0;
}

bool HasInput() {
  pollfd input = {0, POLLIN, 0};
  return poll(&input, 1, 0) != 0;
}

int Run(int (*run)(), const char* how) {
  if (how[0] == 0) return run();
  char byte;
  if (write(1, "ready\n", 6) != 6) return 98;
  if (std::strcmp(how, "wait") == 0) {
    while (read(0, &byte, 1) < 0) {
    }
    return run();
  }
  const pid_t self = getpid();
  int result = 0;
  do {
    sink = 0;
    result |= run();
    std::fflush(stdout);
    // A child of the case goes on with its result.
  } while (getpid() == self && !HasInput());
  return result;
}

}  // namespace

int Skip(const char* reason) {
  std::printf("skipped: %s\n", reason);
  return 0;
}

void ExpectCalls(const char* function, long calls) {
  if (counts_file == nullptr) return;
  FILE* file = std::fopen(counts_file, "a");
  if (file == nullptr) return;
  std::fprintf(file, "%s\t%ld\n", function, calls);
  std::fclose(file);
}

bool CaseIs(const char* name) { return std::strcmp(chosen, name) == 0; }

int main(int argc, char** argv) {
  if (argc == 1) return List();
  chosen = argv[1];
  if (argc > 2) counts_file = argv[2];
  const char* how = argc > 3 ? argv[3] : "";
  for (const Case* cases : kAll) {
    for (; cases->name != nullptr; ++cases) {
      if (CaseIs(cases->name)) return Run(cases->run, how);
    }
  }
  std::fprintf(stderr, "torture: no case '%s'\n", chosen);
  return 99;
}
