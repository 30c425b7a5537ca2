#include "services/tracer/patch/test_module.h"

#include <utility>

namespace flightrec::patch {
namespace {

constexpr uint8_t kNop = 0x90;

}  // namespace

TestModule::TestModule() {
  module.path = "/opt/test_module";
  module.is_pie = true;
  symbols::Segment code;
  code.vaddr = kCode;
  code.executable = true;
  module.segments.push_back(code);
  symbols::Segment tables;
  tables.vaddr = kTables;
  module.segments.push_back(tables);
}

uint32_t TestModule::Add(const std::string& symbol, const std::vector<uint8_t>& code) {
  auto& bytes = module.segments[0].bytes;
  while (bytes.size() % 16 != 0) bytes.push_back(kNop);
  return Place(symbol, code);
}

uint32_t TestModule::AddAdjacent(const std::string& symbol, const std::vector<uint8_t>& code) {
  // Take the padding of the last function away again.
  auto& bytes = module.segments[0].bytes;
  const symbols::Function& last = module.functions.back();
  bytes.resize(last.offset + last.size - kCode);
  return Place(symbol, code);
}

uint32_t TestModule::Place(const std::string& symbol, const std::vector<uint8_t>& code) {
  auto& bytes = module.segments[0].bytes;
  symbols::Function function;
  function.offset = kCode + bytes.size();
  function.size = code.size();
  function.symbol = symbol;
  function.name = symbol;
  function.short_name = symbol;
  bytes.insert(bytes.end(), code.begin(), code.end());
  bytes.insert(bytes.end(), 16, kNop);
  module.functions.push_back(std::move(function));
  return static_cast<uint32_t>(module.functions.size() - 1);
}

}  // namespace flightrec::patch
