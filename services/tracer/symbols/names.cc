#include "services/tracer/symbols/names.h"

#include <cxxabi.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iterator>
#include <memory>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/tracer/symbols/rust_names.h"

namespace flightrec::symbols {
namespace {

// What compilers and linkers append to the symbols of functions that they made
// from another one.
constexpr absl::string_view kCloneWords[] = {
    "cold",  "part",     "constprop", "isra",    "lto_priv",  "llvm", "specialized", "localalias",
    "clone", "resolver", "__part",    "_omp_fn", "simdclone", "warm", "hot",
};

bool IsDigits(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

bool IsCloneWord(absl::string_view text) {
  return std::find(std::begin(kCloneWords), std::end(kCloneWords), text) != std::end(kCloneWords);
}

// ".part.0.isra.1" -> " [clone .part.0] [clone .isra.1]", as c++filt has it.
std::string CloneMarks(absl::string_view suffix) {
  std::string marks;
  for (const absl::string_view part : absl::StrSplit(suffix, '.', absl::SkipEmpty())) {
    const bool continues = IsDigits(part) && absl::EndsWith(marks, "]");
    if (continues) marks.pop_back();
    absl::StrAppend(&marks, continues ? "." : " [clone .", part, "]");
  }
  return marks;
}

// Without marks of clones.
std::string DemangleBase(const std::string& symbol) {
  if (absl::StartsWith(symbol, "_R")) return DemangleRustV0(symbol).value_or(symbol);
  if (!absl::StartsWith(symbol, "_Z")) return symbol;
  int status = 0;
  std::unique_ptr<char, decltype(&std::free)> demangled(
      abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), &std::free);
  if (status != 0 || demangled == nullptr) return symbol;
  return DecodeLegacyRust(demangled.get());
}

bool IsNameCharacter(char c) { return absl::ascii_isalnum(c) || c == '_'; }

absl::string_view StripQualifiers(absl::string_view name) {
  for (bool again = true; again;) {
    again = false;
    const size_t clone = name.rfind(" [clone ");
    if (clone != absl::string_view::npos && absl::EndsWith(name, "]")) {
      name = name.substr(0, clone);
      again = true;
    }
    for (const char* word : {" const", " volatile", " &", " &&"}) {
      again = absl::ConsumeSuffix(&name, word) || again;
    }
  }
  return name;
}

// Length of "operator" and its punctuation at `at`, or 0. The punctuation must
// not be taken for brackets.
size_t OperatorLength(absl::string_view name, size_t at) {
  constexpr absl::string_view kWord = "operator";
  if (name.substr(at, kWord.size()) != kWord) return 0;
  if (at > 0 && IsNameCharacter(name[at - 1])) return 0;
  size_t end = at + kWord.size();
  if (end < name.size() && IsNameCharacter(name[end])) return 0;
  if (name.substr(end, 2) == "()" || name.substr(end, 2) == "[]") {
    return end + 2 - at;
  }
  while (end < name.size() && absl::StrContains("<>=!+-*/%^&|~,", name.substr(end, 1))) {
    ++end;
  }
  return end - at;
}

// "Name[abi:cxx11]" is written "Name" in the source.
std::string WithoutAbiTags(absl::string_view name) {
  std::string result;
  for (size_t tag; (tag = name.find("[abi:")) != absl::string_view::npos;) {
    const size_t end = name.find(']', tag);
    if (end == absl::string_view::npos) break;
    result.append(name.data(), tag);
    name.remove_prefix(end + 1);
  }
  result.append(name.data(), name.size());
  return result;
}

}  // namespace

std::string Demangle(const std::string& symbol) {
  const absl::string_view base = WithoutCloneSuffix(symbol);
  if (base.size() == symbol.size()) return DemangleBase(symbol);
  return absl::StrCat(DemangleBase(std::string(base)),
                      CloneMarks(absl::string_view(symbol).substr(base.size())));
}

absl::string_view WithoutCloneMark(absl::string_view name) {
  const size_t mark = name.find(" [clone .");
  return mark == absl::string_view::npos ? name : name.substr(0, mark);
}

absl::string_view WithoutCloneSuffix(absl::string_view symbol) {
  size_t end = symbol.size();
  for (size_t dot = end;
       dot > 1 && (dot = symbol.rfind('.', dot - 1)) != absl::string_view::npos && dot > 0;) {
    const absl::string_view part = symbol.substr(dot + 1, symbol.find('.', dot + 1) - dot - 1);
    if (!IsDigits(part) && !IsCloneWord(part)) break;
    end = dot;
  }
  return symbol.substr(0, end);
}

std::string ShortName(absl::string_view demangled) {
  const absl::string_view name = StripQualifiers(demangled);
  int depth = 0;
  size_t start = 0;
  size_t arguments = name.size();
  bool in_operator = false;  // "operator unsigned long": spaces belong to it
  for (size_t i = 0; i < name.size(); ++i) {
    if (depth == 0) {
      if (const size_t length = OperatorLength(name, i); length > 0) {
        in_operator = true;
        i += length - 1;
        continue;
      }
    }
    const char c = name[i];
    if (c == '-' && name.substr(i, 2) == "->") {  // before the result of a Rust function type
      ++i;
    } else if (c == '(' || c == '<' || c == '[' || c == '{') {
      if (depth == 0 && c == '(') arguments = i;
      ++depth;
    } else if (c == ')' || c == '>' || c == ']' || c == '}') {
      --depth;
    } else if (depth == 0) {
      if (c == ' ' && !in_operator) start = i + 1;
      if (c == ':') in_operator = false;
      arguments = name.size();
    }
  }
  if (depth != 0 || arguments <= start) return WithoutAbiTags(name);
  return WithoutAbiTags(name.substr(start, arguments - start));
}

Kind KindOfSymbol(absl::string_view symbol) {
  static const auto* const kGlue =
      new absl::flat_hash_set<absl::string_view>{"_init",
                                                 "_fini",
                                                 "frame_dummy",
                                                 "register_tm_clones",
                                                 "deregister_tm_clones",
                                                 "__do_global_dtors_aux",
                                                 "__do_global_ctors_aux",
                                                 "__libc_csu_init",
                                                 "__libc_csu_fini",
                                                 "_dl_relocate_static_pie"};
  if (symbol == "_start") return Kind::kProgramEntry;
  if (kGlue->contains(symbol)) return Kind::kCompilerGlue;
  if (absl::EndsWith(symbol, ".cold") || absl::StrContains(symbol, ".cold.") ||
      absl::StrContains(symbol, ".__part.")) {
    return Kind::kColdFragment;
  }
  return Kind::kFunction;
}

}  // namespace flightrec::symbols
