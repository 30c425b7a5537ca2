// A Module made of hand-written machine code, for tests. Functions are placed
// one behind the other, each on a 16-byte boundary, with nops in between. Not
// thread-safe.

#ifndef SERVICES_TRACER_PATCH_TEST_MODULE_H_
#define SERVICES_TRACER_PATCH_TEST_MODULE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "services/tracer/symbols/module.h"

namespace flightrec::patch {

class TestModule {
 public:
  static constexpr uint64_t kCode = 0x1000;    // vaddr of the first function
  static constexpr uint64_t kTables = 0x8000;  // vaddr of the read-only data

  TestModule();

  // Returns the index of the function.
  uint32_t Add(const std::string& symbol, const std::vector<uint8_t>& code);
  // Without alignment: directly behind the last function.
  uint32_t AddAdjacent(const std::string& symbol, const std::vector<uint8_t>& code);

  symbols::Module module;

 private:
  uint32_t Place(const std::string& symbol, const std::vector<uint8_t>& code);
};

}  // namespace flightrec::patch

#endif  // SERVICES_TRACER_PATCH_TEST_MODULE_H_
