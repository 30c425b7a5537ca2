// torture CASE [FILE]: runs one case; FILE gets the numbers of calls that only the
// program knows, as lines `function TAB calls`.

#include "torture.h"

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
  for (const Case* cases : kAll) {
    for (; cases->name != nullptr; ++cases) {
      if (CaseIs(cases->name)) return cases->run();
    }
  }
  std::fprintf(stderr, "torture: no case '%s'\n", chosen);
  return 99;
}
