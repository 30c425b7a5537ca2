#include "services/tracer/symbols/line_program.h"

#include <algorithm>
#include <utility>

#include "services/tracer/symbols/byte_cursor.h"

namespace flightrec::symbols {
namespace {

// DWARF 5, section 7.22.
constexpr uint8_t kCopy = 1;
constexpr uint8_t kAdvancePc = 2;
constexpr uint8_t kAdvanceLine = 3;
constexpr uint8_t kSetFile = 4;
constexpr uint8_t kConstAddPc = 8;
constexpr uint8_t kFixedAdvancePc = 9;
constexpr uint8_t kEndSequence = 1;
constexpr uint8_t kSetAddress = 2;

// Takes rows in the order of the program and keeps the ones that entries wait
// for.
class EntryFinder {
 public:
  explicit EntryFinder(absl::Span<EntryLine> entries) : entries_(entries) {}

  // The next row may be anywhere. Code that the linker left out has address 0
  // or one of the largest.
  void Jump(uint64_t address) {
    ignoring_ = address == 0 || address >= kFirstTombstone;
    next_offset_ = 0;
    searching_ = true;
  }

  void Row(uint64_t address, uint32_t file, uint32_t line) {
    if (ignoring_) return;
    if (address < last_address_) Jump(address);
    last_address_ = address;
    if (address >= next_offset_) Visit(address, file, line);
  }

  std::vector<size_t> TakeFound() { return std::move(found_); }

 private:
  static constexpr uint64_t kFirstTombstone = UINT64_MAX - 1;

  void Visit(uint64_t address, uint32_t file, uint32_t line) {
    if (searching_ || (next_ + 1 < entries_.size() && entries_[next_ + 1].offset <= address)) {
      Search(address);
    }
    while (next_ < entries_.size() && entries_[next_].offset <= address) {
      EntryLine& entry = entries_[next_];
      if (address - entry.offset < entry.size && !entry.found) {
        // Line 0: the compiler's own instructions; the next row knows better.
        if (line == 0) break;
        entry.found = true;
        entry.file = file;
        entry.line = line;
        found_.push_back(next_);
      }
      ++next_;
    }
    next_offset_ = next_ < entries_.size() ? entries_[next_].offset : UINT64_MAX;
  }

  void Search(uint64_t address) {
    searching_ = false;
    const auto after =
        std::upper_bound(entries_.begin(), entries_.end(), address,
                         [](uint64_t at, const EntryLine& entry) { return at < entry.offset; });
    next_ = static_cast<size_t>(after - entries_.begin());
    if (next_ > 0) --next_;  // may contain the address
  }

  const absl::Span<EntryLine> entries_;
  bool ignoring_ = true;
  bool searching_ = true;
  uint64_t last_address_ = 0;
  uint64_t next_offset_ = 0;  // rows before it are of no interest
  size_t next_ = 0;
  std::vector<size_t> found_;
};

// DWARF's state machine without the columns and flags that we do not use.
class Machine {
 public:
  Machine(const LineHeader& header, ByteCursor program, EntryFinder& finder)
      : header_(header), program_(program), finder_(finder) {
    for (uint32_t opcode = header.opcode_base; opcode < 256; ++opcode) {
      const uint32_t adjusted = opcode - header.opcode_base;
      advance_[opcode] = adjusted / header.line_range * header.minimum_instruction_length;
      line_step_[opcode] = static_cast<int32_t>(adjusted % header.line_range) + header.line_base;
    }
  }

  void Run() {
    while (!program_.AtEnd()) {
      const uint8_t opcode = program_.Read<uint8_t>();
      if (opcode >= header_.opcode_base) {
        address_ += advance_[opcode];
        line_ += static_cast<uint32_t>(line_step_[opcode]);
        finder_.Row(address_, file_, line_);
      } else if (opcode == 0) {
        Extended();
      } else {
        Standard(opcode);
      }
    }
  }

 private:
  void Standard(uint8_t opcode) {
    switch (opcode) {
      case kCopy:
        return finder_.Row(address_, file_, line_);
      case kAdvancePc:
        address_ += program_.ReadUleb() * header_.minimum_instruction_length;
        return;
      case kAdvanceLine:
        line_ += static_cast<uint32_t>(program_.ReadSleb());
        return;
      case kSetFile:
        file_ = static_cast<uint32_t>(program_.ReadUleb());
        return;
      case kConstAddPc:
        address_ += advance_[255];
        return;
      case kFixedAdvancePc:
        address_ += program_.Read<uint16_t>();
        return;
      default:
        for (uint8_t i = 0; i < header_.operand_counts[opcode - 1]; ++i) program_.ReadUleb();
    }
  }

  void Extended() {
    const uint64_t length = program_.ReadUleb();
    ByteCursor operands = program_.Take(length);
    const uint8_t opcode = operands.Read<uint8_t>();
    if (opcode == kEndSequence) {
      address_ = 0;
      file_ = 1;
      line_ = 1;
      finder_.Jump(address_);
    } else if (opcode == kSetAddress && operands.remaining() == sizeof(uint64_t)) {
      address_ = operands.Read<uint64_t>();
      finder_.Jump(address_);
    }
  }

  const LineHeader& header_;
  ByteCursor program_;
  EntryFinder& finder_;
  uint64_t address_ = 0;
  uint32_t file_ = 1;
  uint32_t line_ = 1;
  uint64_t advance_[256] = {};
  int32_t line_step_[256] = {};
};

}  // namespace

bool ReadLineHeader(absl::Span<const uint8_t> unit, LineHeader& header) {
  ByteCursor cursor(unit);
  header.is_64bit = cursor.Read<uint32_t>() == UINT32_MAX;
  if (header.is_64bit) cursor.Read<uint64_t>();
  header.version = cursor.Read<uint16_t>();
  if (header.version < 2 || header.version > 5) return false;
  if (header.version == 5) {
    if (cursor.Read<uint8_t>() != sizeof(uint64_t)) return false;
    cursor.Read<uint8_t>();  // size of a segment selector
  }
  const uint64_t length =
      header.is_64bit ? cursor.Read<uint64_t>() : uint64_t{cursor.Read<uint32_t>()};
  if (cursor.failed() || length > cursor.remaining()) return false;
  header.program = cursor.position() + length;
  header.minimum_instruction_length = cursor.Read<uint8_t>();
  if (header.version >= 4) cursor.Read<uint8_t>();  // operations per instruction, 1 on x86-64
  cursor.Read<uint8_t>();                           // default of is_stmt
  header.line_base = cursor.Read<int8_t>();
  header.line_range = cursor.Read<uint8_t>();
  header.opcode_base = cursor.Read<uint8_t>();
  if (cursor.failed() || header.line_range == 0 || header.opcode_base == 0) return false;
  header.operand_counts.resize(header.opcode_base - 1u);
  for (uint8_t& count : header.operand_counts) count = cursor.Read<uint8_t>();
  header.tables = cursor.position();
  return !cursor.failed() && header.tables <= header.program;
}

std::vector<size_t> RunLineProgram(absl::Span<const uint8_t> unit, const LineHeader& header,
                                   absl::Span<EntryLine> entries) {
  EntryFinder finder(entries);
  Machine(header, ByteCursor(unit.subspan(header.program)), finder).Run();
  return finder.TakeFound();
}

}  // namespace flightrec::symbols
