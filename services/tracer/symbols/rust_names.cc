#include "services/tracer/symbols/rust_names.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "services/tracer/symbols/punycode.h"

namespace flightrec::symbols {
namespace {

constexpr int kMaxDepth = 200;
// Back references can make a short symbol very long.
constexpr size_t kMaxName = 16384;

constexpr size_t kLegacyHashLength = 19;  // "::h" and 16 hex digits

// Of the types with a letter of their own; nullptr: none.
const char* BasicType(char tag) {
  switch (tag) {
    case 'a':
      return "i8";
    case 'b':
      return "bool";
    case 'c':
      return "char";
    case 'd':
      return "f64";
    case 'e':
      return "str";
    case 'f':
      return "f32";
    case 'h':
      return "u8";
    case 'i':
      return "isize";
    case 'j':
      return "usize";
    case 'l':
      return "i32";
    case 'm':
      return "u32";
    case 'n':
      return "i128";
    case 'o':
      return "u128";
    case 'p':
      return "_";
    case 's':
      return "i16";
    case 't':
      return "u16";
    case 'u':
      return "()";
    case 'v':
      return "...";
    case 'x':
      return "i64";
    case 'y':
      return "u64";
    case 'z':
      return "!";
    default:
      return nullptr;
  }
}

struct Identifier {
  uint64_t disambiguator = 0;
  std::string text;
};

// Recursive descent over the grammar of RFC 2603, writing as it goes. After a
// failure it reads only ends.
class V0Demangler {
 public:
  // `text`: what follows "_R".
  explicit V0Demangler(absl::string_view text) : text_(text) {}

  absl::optional<std::string> Demangle() {
    if (!absl::ascii_isupper(Peek())) return absl::nullopt;
    Path(/*in_value=*/true);
    if (!failed_ && absl::ascii_isupper(Peek())) {  // the crate that instantiated it
      writing_ = false;
      Path(/*in_value=*/false);
    }
    if (failed_ || at_ != text_.size()) return absl::nullopt;
    return std::move(name_);
  }

 private:
  // Keeps the nesting of rules within bounds.
  class Level {
   public:
    explicit Level(V0Demangler& demangler) : demangler_(demangler) {
      if (++demangler_.depth_ > kMaxDepth) demangler_.failed_ = true;
    }
    ~Level() { --demangler_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    V0Demangler& demangler_;
  };

  char Peek() const { return failed_ || at_ >= text_.size() ? '\0' : text_[at_]; }

  bool Eat(char c) {
    if (Peek() != c) return false;
    ++at_;
    return true;
  }

  char Next() {
    const char c = Peek();
    if (c == '\0') failed_ = true;
    if (!failed_) ++at_;
    return c;
  }

  void Write(absl::string_view text) {
    if (!writing_ || failed_) return;
    if (name_.size() + text.size() > kMaxName) {
      failed_ = true;
      return;
    }
    absl::StrAppend(&name_, text);
  }

  // "_" is 0, "0_" is 1.
  uint64_t Base62() {
    if (Eat('_')) return 0;
    uint64_t value = 0;
    while (!failed_ && !Eat('_')) {
      const char c = Next();
      uint64_t digit = 0;
      if (absl::ascii_isdigit(c)) {
        digit = static_cast<uint64_t>(c - '0');
      } else if (absl::ascii_islower(c)) {
        digit = static_cast<uint64_t>(c - 'a') + 10;
      } else if (absl::ascii_isupper(c)) {
        digit = static_cast<uint64_t>(c - 'A') + 36;
      } else {
        failed_ = true;
      }
      if (value > (UINT64_MAX - digit) / 62 - 1) failed_ = true;
      value = value * 62 + digit;
    }
    return value + 1;
  }

  // 0 when there is no `tag`.
  uint64_t OptionalBase62(char tag) { return Eat(tag) ? Base62() + 1 : 0; }

  std::string PlainIdentifier() {
    const bool punycode = Eat('u');
    if (!absl::ascii_isdigit(Peek())) failed_ = true;
    size_t length = 0;
    if (!Eat('0')) {
      while (absl::ascii_isdigit(Peek()) && length <= text_.size()) {
        length = length * 10 + static_cast<size_t>(Next() - '0');
      }
    }
    Eat('_');
    if (failed_ || length > text_.size() - at_) {
      failed_ = true;
      return "";
    }
    const std::string bytes(text_.substr(at_, length));
    at_ += length;
    if (!punycode) return bytes;
    absl::optional<std::string> decoded = DecodePunycode(bytes);
    if (!decoded.has_value()) failed_ = true;
    return decoded.value_or("");
  }

  Identifier ReadIdentifier() {
    Identifier identifier;
    identifier.disambiguator = OptionalBase62('s');
    identifier.text = PlainIdentifier();
    return identifier;
  }

  // Reads `rule` at the place that a back reference names. It must be an earlier
  // one, so that there are no cycles.
  template <typename Rule>
  void BackReference(Rule rule) {
    const size_t self = at_ - 1;
    const uint64_t target = Base62();
    if (failed_ || target >= self) {
      failed_ = true;
      return;
    }
    if (!writing_) return;
    const size_t after = std::exchange(at_, static_cast<size_t>(target));
    rule();
    if (!failed_) at_ = after;
  }

  // `in_value`: generic arguments follow "::".
  void Path(bool in_value) {
    const Level level(*this);
    switch (Next()) {
      case 'C':
        return Write(ReadIdentifier().text);
      case 'N':
        return NestedPath(in_value);
      case 'M':
        ImplPath();
        Write("<");
        Type();
        return Write(">");
      case 'X':
        ImplPath();
        return TraitPath();
      case 'Y':
        return TraitPath();
      case 'I':
        Path(in_value);
        if (in_value) Write("::");
        Write("<");
        GenericArguments();
        return Write(">");
      case 'B':
        return BackReference([this, in_value] { Path(in_value); });
      default:
        failed_ = true;
    }
  }

  void NestedPath(bool in_value) {
    const char space = Next();
    if (!absl::ascii_isalpha(space)) failed_ = true;
    Path(in_value);
    const Identifier identifier = ReadIdentifier();
    if (absl::ascii_islower(space)) {
      if (!identifier.text.empty()) Write(absl::StrCat("::", identifier.text));
      return;
    }
    Write("::{");
    if (space == 'C') {
      Write("closure");
    } else if (space == 'S') {
      Write("shim");
    } else {
      Write(absl::string_view(&space, 1));
    }
    if (!identifier.text.empty()) Write(absl::StrCat(":", identifier.text));
    Write(absl::StrCat("#", identifier.disambiguator, "}"));
  }

  // Where the impl block stands: not part of the name.
  void ImplPath() {
    const bool writing = std::exchange(writing_, false);
    OptionalBase62('s');
    Path(/*in_value=*/false);
    writing_ = writing;
  }

  void TraitPath() {
    Write("<");
    Type();
    Write(" as ");
    Path(/*in_value=*/false);
    Write(">");
  }

  template <typename Item>
  int List(absl::string_view separator, Item item) {
    int count = 0;
    while (!failed_ && !Eat('E')) {
      if (count++ > 0) Write(separator);
      item();
    }
    return count;
  }

  void GenericArguments() {
    List(", ", [this] {
      if (Eat('L')) {
        Lifetime(Base62());
      } else if (Eat('K')) {
        Const();
      } else {
        Type();
      }
    });
  }

  // Counted from the innermost binder; 0 is the one that has no name.
  void Lifetime(uint64_t index) {
    if (index == 0) return Write("'_");
    if (index > lifetimes_) {
      failed_ = true;
      return;
    }
    const uint64_t number = lifetimes_ - index;
    Write("'");
    if (number < 26) {
      const char letter = static_cast<char>('a' + number);
      Write(absl::string_view(&letter, 1));
    } else {
      Write(absl::StrCat("_", number));
    }
  }

  // "for<'a, 'b> " around what `inside` writes.
  template <typename Inside>
  void Binder(Inside inside) {
    const uint64_t bound = OptionalBase62('G');
    if (bound > text_.size()) failed_ = true;
    const uint64_t outer = lifetimes_;
    for (uint64_t i = 0; i < bound && !failed_; ++i) {
      Write(i == 0 ? "for<" : ", ");
      ++lifetimes_;
      Lifetime(1);
    }
    if (bound > 0) Write("> ");
    inside();
    lifetimes_ = outer;
  }

  void Type() {
    const Level level(*this);
    const char tag = Next();
    if (const char* basic = BasicType(tag); basic != nullptr) return Write(basic);
    switch (tag) {
      case 'A':
      case 'S':
        Write("[");
        Type();
        if (tag == 'A') {
          Write("; ");
          Const();
        }
        return Write("]");
      case 'T':
        Write("(");
        if (List(", ", [this] { Type(); }) == 1) Write(",");
        return Write(")");
      case 'R':
      case 'Q':
        Write("&");
        if (Eat('L')) ReferenceLifetime();
        if (tag == 'Q') Write("mut ");
        return Type();
      case 'P':
      case 'O':
        Write(tag == 'P' ? "*const " : "*mut ");
        return Type();
      case 'F':
        return Binder([this] { FunctionType(); });
      case 'D':
        return DynType();
      case 'B':
        return BackReference([this] { Type(); });
      default:
        if (!failed_) --at_;
        return Path(/*in_value=*/false);
    }
  }

  void ReferenceLifetime() {
    const uint64_t index = Base62();
    if (index == 0) return;
    Lifetime(index);
    Write(" ");
  }

  void FunctionType() {
    if (Eat('U')) Write("unsafe ");
    if (Eat('K')) {
      const std::string abi = Eat('C') ? "C" : PlainIdentifier();
      Write(absl::StrCat("extern \"", absl::StrReplaceAll(abi, {{"_", "-"}}), "\" "));
    }
    Write("fn(");
    List(", ", [this] { Type(); });
    Write(")");
    if (Eat('u')) return;
    Write(" -> ");
    Type();
  }

  void DynType() {
    Write("dyn ");
    Binder([this] { List(" + ", [this] { DynTrait(); }); });
    if (!Eat('L')) {
      failed_ = true;
      return;
    }
    const uint64_t lifetime = Base62();
    if (lifetime == 0) return;
    Write(" + ");
    Lifetime(lifetime);
  }

  // Bound types of the trait are written among its generic arguments.
  void DynTrait() {
    bool open = OpenTraitPath();
    while (Eat('p')) {
      Write(open ? ", " : "<");
      open = true;
      Write(absl::StrCat(PlainIdentifier(), " = "));
      Type();
    }
    if (open) Write(">");
  }

  // Whether the path ends in generic arguments, their bracket left open.
  bool OpenTraitPath() {
    const Level level(*this);
    bool open = false;
    if (Eat('B')) {
      BackReference([this, &open] { open = OpenTraitPath(); });
    } else if (Eat('I')) {
      Path(/*in_value=*/false);
      Write("<");
      GenericArguments();
      open = true;
    } else {
      Path(/*in_value=*/false);
    }
    return open;
  }

  void Const() {
    const Level level(*this);
    const char tag = Next();
    switch (tag) {
      case 'p':
        return Write("_");
      case 'B':
        return BackReference([this] { Const(); });
      case 'h':
      case 't':
      case 'm':
      case 'y':
      case 'o':
      case 'j':
        return Integer();
      case 'a':
      case 's':
      case 'l':
      case 'x':
      case 'n':
      case 'i':
        if (Eat('n')) Write("-");
        return Integer();
      case 'b':
      case 'c':
        return BoolOrCharacter(tag);
      default:
        failed_ = true;
    }
  }

  std::string HexDigits() {
    const size_t begin = at_;
    while (!failed_ && !Eat('_')) {
      const char c = Next();
      if (!absl::ascii_isdigit(c) && (c < 'a' || c > 'f')) failed_ = true;
    }
    if (failed_) return "";
    absl::string_view digits = text_.substr(begin, at_ - 1 - begin);
    while (absl::ConsumePrefix(&digits, "0")) {
    }
    return std::string(digits);
  }

  static uint64_t Value(const std::string& digits) {
    uint64_t value = 0;
    for (const char c : digits) {
      value = value * 16 + static_cast<uint64_t>(absl::ascii_isdigit(c) ? c - '0' : c - 'a' + 10);
    }
    return value;
  }

  void Integer() {
    const std::string digits = HexDigits();
    Write(digits.size() <= 16 ? absl::StrCat(Value(digits)) : absl::StrCat("0x", digits));
  }

  void BoolOrCharacter(char tag) {
    const std::string digits = HexDigits();
    if (digits.size() > 6) failed_ = true;
    const uint64_t value = failed_ ? 0 : Value(digits);
    if (tag == 'b') {
      if (value > 1) failed_ = true;
      return Write(value == 0 ? "false" : "true");
    }
    if (value >= ' ' && value < 0x7f) {
      const char c = static_cast<char>(value);
      return Write(
          absl::StrCat("'", c == '\'' || c == '\\' ? "\\" : "", absl::string_view(&c, 1), "'"));
    }
    Write(absl::StrCat("'\\u{", digits.empty() ? "0" : digits, "}'"));
  }

  const absl::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  bool failed_ = false;
  bool writing_ = true;
  uint64_t lifetimes_ = 0;  // bound around the place we are at
  std::string name_;
};

// "$u7e$" and its kin at the beginning; 0: none.
size_t DecodeEscape(absl::string_view text, std::string& result) {
  static constexpr struct {
    const char* escape;
    const char* meaning;
  } kEscapes[] = {{"$LT$", "<"}, {"$GT$", ">"}, {"$RF$", "&"}, {"$BP$", "*"},
                  {"$C$", ","},  {"$LP$", "("}, {"$RP$", ")"}, {"$SP$", "@"}};
  for (const auto& known : kEscapes) {
    if (!absl::StartsWith(text, known.escape)) continue;
    result += known.meaning;
    return absl::string_view(known.escape).size();
  }
  if (!absl::StartsWith(text, "$u")) return 0;
  const size_t end = text.find('$', 2);
  if (end == absl::string_view::npos || end == 2 || end > 8) return 0;
  uint32_t code = 0;
  for (const char c : text.substr(2, end - 2)) {
    if (!absl::ascii_isxdigit(c)) return 0;
    const char lower = absl::ascii_tolower(c);
    code = code * 16 + static_cast<uint32_t>(absl::ascii_isdigit(c) ? c - '0' : lower - 'a' + 10);
  }
  return AppendUtf8(code, result) ? end + 1 : 0;
}

}  // namespace

absl::optional<std::string> DemangleRustV0(absl::string_view symbol) {
  // A name repeats its parts at will: without a limit a long one takes for ever.
  if (symbol.size() > kMaxName || !absl::ConsumePrefix(&symbol, "_R")) return absl::nullopt;
  return V0Demangler(symbol).Demangle();
}

std::string DecodeLegacyRust(std::string demangled) {
  absl::string_view rest = demangled;
  if (rest.size() <= kLegacyHashLength) return demangled;
  const absl::string_view hash = rest.substr(rest.size() - kLegacyHashLength);
  if (!absl::StartsWith(hash, "::h")) return demangled;
  for (const char c : hash.substr(3)) {
    if (!absl::ascii_isxdigit(c)) return demangled;
  }
  rest.remove_suffix(kLegacyHashLength);
  std::string result;
  while (!rest.empty()) {
    // Before an escape at the beginning of a name stands an underscore.
    const bool at_name = result.empty() || absl::EndsWith(result, "::");
    if (at_name && absl::StartsWith(rest, "_$")) rest.remove_prefix(1);
    if (const size_t length = DecodeEscape(rest, result); length > 0) {
      rest.remove_prefix(length);
    } else if (absl::ConsumePrefix(&rest, "..")) {
      result += "::";
    } else {
      result += rest[0];
      rest.remove_prefix(1);
    }
  }
  return result;
}

}  // namespace flightrec::symbols
