#include "services/tracer/symbols/eh_frame.h"

#include <algorithm>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "services/tracer/symbols/byte_cursor.h"

namespace flightrec::symbols {
namespace {

// Pointer encodings (DW_EH_PE_*), x86-64 psABI.
constexpr uint8_t kOmit = 0xff;
constexpr uint8_t kFormatMask = 0x0f;
constexpr uint8_t kApplicationMask = 0x70;
constexpr uint8_t kPcRelative = 0x10;

constexpr uint64_t kStackPointer = 7;
constexpr uint64_t kReturnAddress = 16;

constexpr size_t kMaxRanges = 16u << 20;

struct CommonEntry {
  bool valid = false;
  bool signal_frame = false;
  bool has_augmentation_size = false;
  uint8_t pointer_encoding = 0;
  absl::Span<const uint8_t> instructions;
};

// What the rules say at the first byte of a range.
struct EntryRules {
  uint64_t cfa_register = ~0ull;
  uint64_t cfa_offset = 0;
  bool unusual = false;  // an expression, or no return address

  bool IsFunctionEntry() const {
    return !unusual && cfa_register == kStackPointer && cfa_offset == 8;
  }
};

uint64_t ReadFormat(ByteCursor& cursor, uint8_t encoding) {
  switch (encoding & kFormatMask) {
    case 0x00:
    case 0x04:
    case 0x0c:
      return cursor.Read<uint64_t>();
    case 0x01:
      return cursor.ReadUleb();
    case 0x09:
      return static_cast<uint64_t>(cursor.ReadSleb());
    case 0x02:
      return cursor.Read<uint16_t>();
    case 0x0a:
      return static_cast<uint64_t>(int64_t{cursor.Read<int16_t>()});
    case 0x03:
      return cursor.Read<uint32_t>();
    case 0x0b:
      return static_cast<uint64_t>(int64_t{cursor.Read<int32_t>()});
    default:
      cursor.Skip(~0ull);
      return 0;
  }
}

// `field` is the address of the value that the cursor stands at. Applications
// other than absolute and pc-relative do not occur in linked x86-64 files for
// code addresses; they fail the cursor.
uint64_t ReadPointer(ByteCursor& cursor, uint8_t encoding, uint64_t field) {
  const uint64_t value = ReadFormat(cursor, encoding);
  const uint8_t application = encoding & kApplicationMask;
  if (application == 0) return value;
  if (application == kPcRelative) return field + value;
  cursor.Skip(~0ull);
  return 0;
}

CommonEntry ReadCommonEntry(ByteCursor cursor, absl::Span<const uint8_t> content) {
  CommonEntry entry;
  const uint8_t version = cursor.Read<uint8_t>();
  std::string augmentation;
  while (const char letter = cursor.Read<char>()) augmentation += letter;
  cursor.ReadUleb();
  cursor.ReadSleb();
  if (version == 1) {
    cursor.Read<uint8_t>();
  } else {
    cursor.ReadUleb();
  }
  if (!augmentation.empty()) {
    if (augmentation[0] != 'z') return entry;
    entry.has_augmentation_size = true;
    ByteCursor data = cursor.Take(cursor.ReadUleb());
    for (const char letter : augmentation.substr(1)) {
      if (letter == 'R') entry.pointer_encoding = data.Read<uint8_t>();
      if (letter == 'L') data.Read<uint8_t>();
      if (letter == 'P') ReadFormat(data, data.Read<uint8_t>());
      if (letter == 'S') entry.signal_frame = true;
    }
    if (data.failed()) return entry;
  }
  if (cursor.failed()) return entry;
  entry.instructions = content.subspan(cursor.position());
  entry.valid = true;
  return entry;
}

// Instructions without effect on the rules we look at. False: `opcode` ends
// the first row or is not known.
bool SkipOperands(ByteCursor& cursor, uint8_t opcode) {
  switch (opcode) {
    case 0x00:  // nop
    case 0x0a:  // remember_state
    case 0x0b:  // restore_state
    case 0x2d:  // GNU_window_save
      return true;
    case 0x06:  // restore_extended
    case 0x08:  // same_value
    case 0x2e:  // GNU_args_size
      cursor.ReadUleb();
      return true;
    case 0x05:  // offset_extended
    case 0x09:  // register
    case 0x14:  // val_offset
    case 0x11:  // offset_extended_sf: the operand sizes are alike
    case 0x15:  // val_offset_sf
    case 0x2f:  // GNU_negative_offset_extended
      cursor.ReadUleb();
      cursor.ReadUleb();
      return true;
    case 0x10:  // expression
    case 0x16:  // val_expression
      cursor.ReadUleb();
      cursor.Skip(cursor.ReadUleb());
      return true;
    default:
      return false;
  }
}

void ApplyFirstRow(absl::Span<const uint8_t> instructions, EntryRules& rules) {
  ByteCursor cursor(instructions);
  while (!cursor.AtEnd()) {
    const uint8_t opcode = cursor.Read<uint8_t>();
    if ((opcode & 0xc0) == 0x40) return;  // advance_loc: the first row ends
    if ((opcode & 0xc0) == 0xc0) continue;
    if ((opcode & 0xc0) == 0x80) {
      cursor.ReadUleb();
      continue;
    }
    switch (opcode) {
      case 0x0c:  // def_cfa
        rules.cfa_register = cursor.ReadUleb();
        rules.cfa_offset = cursor.ReadUleb();
        break;
      case 0x0d:  // def_cfa_register
        rules.cfa_register = cursor.ReadUleb();
        break;
      case 0x0e:  // def_cfa_offset
        rules.cfa_offset = cursor.ReadUleb();
        break;
      case 0x0f:  // def_cfa_expression
        rules.unusual = true;
        cursor.Skip(cursor.ReadUleb());
        break;
      case 0x07:  // undefined
        if (cursor.ReadUleb() == kReturnAddress) rules.unusual = true;
        break;
      default:
        if (!SkipOperands(cursor, opcode)) return;
    }
  }
}

class EhFrameReader {
 public:
  EhFrameReader(absl::Span<const uint8_t> bytes, uint64_t vaddr) : bytes_(bytes), vaddr_(vaddr) {}

  std::vector<CodeRange> Read() {
    ByteCursor cursor(bytes_);
    while (ranges_.size() < kMaxRanges) {
      const size_t start = cursor.position();
      uint64_t length = cursor.Read<uint32_t>();
      if (length == 0xffffffff) length = cursor.Read<uint64_t>();
      if (length == 0 || cursor.failed()) break;
      const size_t id_position = cursor.position();
      ByteCursor content = cursor.Take(length);
      const uint32_t id = content.Read<uint32_t>();
      if (content.failed()) break;
      const auto body = bytes_.subspan(id_position + 4, length - 4);
      if (id == 0) {
        common_[start] = ReadCommonEntry(ByteCursor(body), body);
      } else if (!ReadRange(id_position, id, body)) {
        break;
      }
    }
    return Sorted();
  }

 private:
  bool ReadRange(size_t id_position, uint32_t id, absl::Span<const uint8_t> body) {
    if (id > id_position) return false;
    const auto found = common_.find(id_position - id);
    if (found == common_.end() || !found->second.valid) return true;
    const CommonEntry& common = found->second;
    ByteCursor cursor(body);
    CodeRange range;
    range.offset = ReadPointer(cursor, common.pointer_encoding, vaddr_ + id_position + 4);
    range.size = ReadFormat(cursor, common.pointer_encoding);
    if (common.has_augmentation_size) cursor.Skip(cursor.ReadUleb());
    if (cursor.failed()) return false;
    EntryRules rules;
    rules.unusual = common.signal_frame;
    ApplyFirstRow(common.instructions, rules);
    ApplyFirstRow(body.subspan(cursor.position()), rules);
    range.starts_at_call = rules.IsFunctionEntry();
    // Ranges of functions that the linker removed are left with address 0.
    if (range.size != 0 && range.offset != 0) ranges_.push_back(range);
    return true;
  }

  std::vector<CodeRange> Sorted() {
    std::stable_sort(ranges_.begin(), ranges_.end(),
                     [](const CodeRange& a, const CodeRange& b) { return a.offset < b.offset; });
    ranges_.erase(
        std::unique(ranges_.begin(), ranges_.end(),
                    [](const CodeRange& a, const CodeRange& b) { return a.offset == b.offset; }),
        ranges_.end());
    return std::move(ranges_);
  }

  absl::Span<const uint8_t> bytes_;
  uint64_t vaddr_;
  absl::flat_hash_map<size_t, CommonEntry> common_;  // by position
  std::vector<CodeRange> ranges_;
};

}  // namespace

std::vector<CodeRange> ReadEhFrame(absl::Span<const uint8_t> bytes, uint64_t vaddr) {
  return EhFrameReader(bytes, vaddr).Read();
}

uint64_t EhFrameAddress(absl::Span<const uint8_t> header, uint64_t vaddr) {
  ByteCursor cursor(header);
  const uint8_t version = cursor.Read<uint8_t>();
  const uint8_t encoding = cursor.Read<uint8_t>();
  cursor.Skip(2);
  if (version != 1 || encoding == kOmit) return 0;
  const uint64_t address = ReadPointer(cursor, encoding, vaddr + 4);
  return cursor.failed() ? 0 : address;
}

}  // namespace flightrec::symbols
