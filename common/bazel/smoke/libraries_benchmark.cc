#include <string>

#include "benchmark/benchmark.h"
#include "zstd.h"

namespace {

void BM_CompressPage(benchmark::State& state) {
  const std::string page(4096, 'x');
  std::string packed(ZSTD_compressBound(page.size()), '\0');
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        ZSTD_compress(packed.data(), packed.size(), page.data(), page.size(), 1));
  }
}
BENCHMARK(BM_CompressPage);

}  // namespace
