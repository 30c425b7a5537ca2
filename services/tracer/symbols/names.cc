#include "services/tracer/symbols/names.h"

#include <cxxabi.h>

#include <cctype>
#include <cstdlib>
#include <memory>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace flightrec::symbols {
namespace {

constexpr size_t kRustHashLength = 19;  // "::h" and 16 hex digits

// The legacy Rust mangling is a C++ name that ends in a hash and has escapes
// for characters that C++ names do not have.
std::string DecodeLegacyRust(std::string name) {
  if (name.size() <= kRustHashLength) return name;
  const size_t hash = name.size() - kRustHashLength;
  if (name.compare(hash, 3, "::h") != 0) return name;
  for (size_t i = hash + 3; i < name.size(); ++i) {
    if (!absl::ascii_isxdigit(name[i])) return name;
  }
  name.resize(hash);
  return absl::StrReplaceAll(name, {{"_$LT$", "<"},
                                    {"$LT$", "<"},
                                    {"$GT$", ">"},
                                    {"$RF$", "&"},
                                    {"$BP$", "*"},
                                    {"$C$", ","},
                                    {"$u20$", " "},
                                    {"$u7b$", "{"},
                                    {"$u7d$", "}"},
                                    {"$u5b$", "["},
                                    {"$u5d$", "]"},
                                    {"$LP$", "("},
                                    {"$RP$", ")"},
                                    {"..", "::"}});
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
  if (!absl::StartsWith(symbol, "_Z")) return symbol;
  int status = 0;
  std::unique_ptr<char, decltype(&std::free)> demangled(
      abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), &std::free);
  if (status != 0 || demangled == nullptr) return symbol;
  return DecodeLegacyRust(demangled.get());
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
    if (c == '(' || c == '<' || c == '[' || c == '{') {
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
