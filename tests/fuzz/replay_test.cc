// Every seed of a fuzzer and mutants of it, the same ones in every run, through the fuzzer built
// like everything else.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace flightrec {
namespace {

constexpr int kMutantsOfSeed = 2000;
constexpr size_t kMaxChanges = 8;

void Replay(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

std::string Mutant(std::mt19937_64& random, std::string input) {
  for (size_t changes = 1 + random() % kMaxChanges; changes > 0 && !input.empty(); --changes) {
    const size_t at = random() % input.size();
    switch (random() % 4) {
      case 0:
        input[at] = static_cast<char>(random());
        break;
      case 1:
        input[at] = static_cast<char>(input[at] ^ (1 << random() % 8));
        break;
      case 2:
        input.erase(at, 1 + random() % 8);
        break;
      default:
        input.insert(at, 1 + random() % 8, static_cast<char>(random()));
        break;
    }
  }
  return input;
}

TEST(Fuzz, seeds_and_mutants_of_them__then_nothing_that_must_hold_breaks) {
  std::mt19937_64 random(1);
  size_t seeds = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator("tests/fuzz/corpus")) {
    if (file.is_directory()) continue;
    std::ifstream stream(file.path(), std::ios::binary);
    const std::string seed{std::istreambuf_iterator<char>(stream),
                           std::istreambuf_iterator<char>()};
    ASSERT_FALSE(seed.empty()) << file.path();
    ++seeds;
    Replay(seed);
    for (int i = 0; i < kMutantsOfSeed; ++i) Replay(Mutant(random, seed));
  }
  EXPECT_GT(seeds, 0u);
}

}  // namespace
}  // namespace flightrec
