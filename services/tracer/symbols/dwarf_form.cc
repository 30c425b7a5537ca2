#include "services/tracer/symbols/dwarf_form.h"

namespace flightrec::symbols {
namespace {

// DWARF 5, section 7.5.6, and the GNU extensions of DWARF 4.
enum Form : uint64_t {
  kAddr = 0x01,
  kBlock2 = 0x03,
  kBlock4 = 0x04,
  kData2 = 0x05,
  kData4 = 0x06,
  kData8 = 0x07,
  kString = 0x08,
  kBlock = 0x09,
  kBlock1 = 0x0a,
  kData1 = 0x0b,
  kFlag = 0x0c,
  kSdata = 0x0d,
  kStrp = 0x0e,
  kUdata = 0x0f,
  kRefAddr = 0x10,
  kRef1 = 0x11,
  kRef2 = 0x12,
  kRef4 = 0x13,
  kRef8 = 0x14,
  kRefUdata = 0x15,
  kSecOffset = 0x17,
  kExprloc = 0x18,
  kFlagPresent = 0x19,
  kStrx = 0x1a,
  kAddrx = 0x1b,
  kRefSup4 = 0x1c,
  kStrpSup = 0x1d,
  kData16 = 0x1e,
  kLineStrp = 0x1f,
  kRefSig8 = 0x20,
  kImplicitConst = 0x21,
  kLoclistx = 0x22,
  kRnglistx = 0x23,
  kRefSup8 = 0x24,
  kStrx1 = 0x25,
  kStrx2 = 0x26,
  kStrx3 = 0x27,
  kStrx4 = 0x28,
  kAddrx1 = 0x29,
  kAddrx2 = 0x2a,
  kAddrx3 = 0x2b,
  kAddrx4 = 0x2c,
  kGnuAddrIndex = 0x1f01,
  kGnuStrIndex = 0x1f02,
  kGnuRefAlt = 0x1f20,
  kGnuStrpAlt = 0x1f21,
};

// -1: the length is in the value itself.
int FixedBytes(uint64_t form, bool is_64bit) {
  switch (form) {
    case kFlagPresent:
    case kImplicitConst:
      return 0;
    case kData1:
    case kFlag:
    case kRef1:
    case kStrx1:
    case kAddrx1:
      return 1;
    case kData2:
    case kRef2:
    case kStrx2:
    case kAddrx2:
      return 2;
    case kStrx3:
    case kAddrx3:
      return 3;
    case kData4:
    case kRef4:
    case kRefSup4:
    case kStrx4:
    case kAddrx4:
      return 4;
    case kAddr:
    case kData8:
    case kRef8:
    case kRefSig8:
    case kRefSup8:
      return 8;
    case kStrp:
    case kRefAddr:
    case kSecOffset:
    case kStrpSup:
    case kLineStrp:
    case kGnuRefAlt:
    case kGnuStrpAlt:
      return is_64bit ? 8 : 4;
    case kData16:
      return 16;
    default:
      return -1;
  }
}

DwarfValue Number(uint64_t number) {
  DwarfValue value;
  value.number = number;
  return value;
}

DwarfValue Skipped(uint64_t bytes, ByteCursor& cursor) {
  cursor.Skip(bytes);
  return {};
}

DwarfValue Fixed(int bytes, ByteCursor& cursor) {
  if (bytes > 8) return Skipped(static_cast<uint64_t>(bytes), cursor);
  uint64_t number = 0;
  for (int i = 0; i < bytes; ++i) number |= uint64_t{cursor.Read<uint8_t>()} << (8 * i);
  return Number(number);
}

DwarfValue ReadValue(uint64_t form, bool is_64bit, ByteCursor& cursor) {
  const int fixed = FixedBytes(form, is_64bit);
  if (fixed >= 0) return Fixed(fixed, cursor);
  switch (form) {
    case kSdata:
      return Number(static_cast<uint64_t>(cursor.ReadSleb()));
    case kUdata:
    case kRefUdata:
    case kStrx:
    case kAddrx:
    case kLoclistx:
    case kRnglistx:
    case kGnuAddrIndex:
    case kGnuStrIndex:
      return Number(cursor.ReadUleb());
    case kBlock1:
      return Skipped(cursor.Read<uint8_t>(), cursor);
    case kBlock2:
      return Skipped(cursor.Read<uint16_t>(), cursor);
    case kBlock4:
      return Skipped(cursor.Read<uint32_t>(), cursor);
    case kBlock:
    case kExprloc:
      return Skipped(cursor.ReadUleb(), cursor);
    case kString: {
      DwarfValue value;
      value.text = cursor.ReadText();
      return value;
    }
    default:
      return Skipped(UINT64_MAX, cursor);
  }
}

}  // namespace

DwarfValue ReadDwarfForm(uint64_t form, bool is_64bit, ByteCursor& cursor) {
  DwarfValue value = ReadValue(form, is_64bit, cursor);
  value.form = form;
  return value;
}

std::string TextOf(const DwarfValue& value, const DwarfText& sections) {
  if (value.form == kString) return std::string(value.text);
  if (value.form == kLineStrp && sections.line_strings != nullptr) {
    return sections.line_strings->Text(value.number);
  }
  if (value.form == kStrp && sections.strings != nullptr) {
    return sections.strings->Text(value.number);
  }
  return "";
}

}  // namespace flightrec::symbols
