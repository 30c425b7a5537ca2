// How long the functions and lines of large files take: one iteration reads the
// whole file. Files that are not installed are skipped.

#include <string>

#include "absl/status/statusor.h"
#include "benchmark/benchmark.h"
#include "services/tracer/symbols/module_reader.h"
#include "services/tracer/symbols/source_lines.h"

namespace flightrec::symbols {
namespace {

void ReadsFunctions(benchmark::State& state, const std::string& path) {
  size_t functions = 0;
  for (auto _ : state) {
    const absl::StatusOr<Module> module = ReadModule(path);
    if (!module.ok()) return state.SkipWithError(module.status().ToString().c_str());
    functions = module->functions.size();
  }
  state.counters["functions"] = static_cast<double>(functions);
}

void ReadsAllLines(benchmark::State& state, const std::string& path) {
  const absl::StatusOr<Module> module = ReadModule(path);
  if (!module.ok()) return state.SkipWithError(module.status().ToString().c_str());
  size_t lines = 0;
  for (auto _ : state) lines = ReadSourceLines(*module).size();
  state.counters["lines"] = static_cast<double>(lines);
}

constexpr char kNode[] = "/usr/bin/node";
constexpr char kLlvm[] = "/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1";

BENCHMARK_CAPTURE(ReadsFunctions, node, kNode)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ReadsFunctions, llvm, kLlvm)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ReadsAllLines, node, kNode)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace flightrec::symbols
