#include "services/tracer/pattern/function_pattern.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "services/tracer/pattern/glob.h"
#include "services/tracer/pattern/suggestions.h"

namespace flightrec::pattern {
namespace {

constexpr size_t kMaxTerms = 1024;

// Punctuation after "operator" is part of the name, not a bracket.
size_t SkipOperator(absl::string_view text, size_t at) {
  constexpr absl::string_view kWord = "operator";
  if (text.substr(at, kWord.size()) != kWord) return 0;
  size_t end = at + kWord.size();
  if (text.substr(end, 2) == "()" || text.substr(end, 2) == "[]") {
    return end + 2 - at;
  }
  while (end < text.size() && absl::StrContains("<>=!+-/%^&|~", text.substr(end, 1))) {
    ++end;
  }
  return end - at;
}

std::vector<absl::string_view> SplitTerms(absl::string_view value) {
  std::vector<absl::string_view> terms;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i < value.size(); ++i) {
    if (const size_t length = SkipOperator(value, i); length > 0) {
      i += length - 1;
      continue;
    }
    const char c = value[i];
    if (c == '(' || c == '<' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == '>' || c == ']' || c == '}') --depth;
    if (c == ',' && depth <= 0) {
      terms.push_back(value.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  terms.push_back(value.substr(begin));
  return terms;
}

// Position of the ":" between module and name ("::" belongs to a name), or
// npos.
size_t ModuleSeparator(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '(' || text[i] == '<') break;
    if (text[i] != ':') continue;
    if (text.substr(i, 2) != "::") return i;
    ++i;
  }
  return absl::string_view::npos;
}

absl::Status BadTerm(absl::string_view term, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("function pattern \"", term, "\": ", why));
}

}  // namespace

absl::StatusOr<FunctionPattern::Term> FunctionPattern::ParseTerm(absl::string_view text) {
  Term term;
  absl::string_view rest = absl::StripAsciiWhitespace(text);
  term.text = std::string(rest);
  term.exclude = absl::ConsumePrefix(&rest, "!");
  if (rest.empty()) {
    return BadTerm(text, "it has no name; use \"*\" for the main executable");
  }
  if (rest[0] == '@') {
    return BadTerm(text, "it starts with @, which no selector does yet; use a glob");
  }
  if (rest == "**") rest = "*:*";
  const size_t colon = ModuleSeparator(rest);
  if (colon == absl::string_view::npos) {
    // Exclusions hold everywhere unless they name a module.
    term.main_only = !term.exclude;
    term.module_glob = std::string(1, '*');
  } else {
    term.module_glob = std::string(rest.substr(0, colon));
    rest = rest.substr(colon + 1);
  }
  term.name_glob = std::string(rest);
  if (term.module_glob.empty() || term.name_glob.empty()) {
    return BadTerm(text, "write MODULE:NAME, for example libz.so*:deflate*");
  }
  return term;
}

absl::StatusOr<FunctionPattern> FunctionPattern::Parse(absl::Span<const std::string> values) {
  FunctionPattern pattern;
  for (const std::string& value : values) {
    for (const absl::string_view text : SplitTerms(value)) {
      auto term = ParseTerm(text);
      if (!term.ok()) return term.status();
      pattern.terms_.push_back(*std::move(term));
    }
  }
  if (pattern.terms_.empty()) {
    return absl::InvalidArgumentError(
        "no function pattern; use \"*\" for all functions of the main "
        "executable");
  }
  if (pattern.terms_.size() > kMaxTerms) {
    return absl::InvalidArgumentError(absl::StrCat(pattern.terms_.size(),
                                                   " function patterns, at most ", kMaxTerms,
                                                   " are possible; use globs"));
  }
  if (std::all_of(pattern.terms_.begin(), pattern.terms_.end(),
                  [](const Term& term) { return term.exclude; })) {
    pattern.terms_.push_back(*ParseTerm("*"));
  }
  return pattern;
}

bool FunctionPattern::TermWantsModule(const Term& term, absl::string_view basename,
                                      bool is_main_executable) {
  if (term.main_only) return is_main_executable;
  return GlobMatches(term.module_glob, basename);
}

bool FunctionPattern::TermMatchesName(const Term& term, const symbols::Function& function) {
  if (GlobMatches(term.name_glob, function.short_name) ||
      GlobMatches(term.name_glob, function.name) || GlobMatches(term.name_glob, function.symbol)) {
    return true;
  }
  return std::any_of(
      function.aliases.begin(), function.aliases.end(),
      [&term](const std::string& alias) { return GlobMatches(term.name_glob, alias); });
}

bool FunctionPattern::WantsModule(absl::string_view basename, bool is_main_executable) const {
  return std::any_of(terms_.begin(), terms_.end(), [&](const Term& term) {
    return !term.exclude && TermWantsModule(term, basename, is_main_executable);
  });
}

bool FunctionPattern::Matches(absl::string_view basename, bool is_main_executable,
                              const symbols::Function& function) const {
  bool included = false;
  for (const Term& term : terms_) {
    if (included && !term.exclude) continue;
    if (!TermWantsModule(term, basename, is_main_executable) || !TermMatchesName(term, function)) {
      continue;
    }
    if (term.exclude) return false;
    included = true;
  }
  return included;
}

absl::StatusOr<std::vector<Selection>> FunctionPattern::Select(
    absl::Span<const ModuleRef> modules) const {
  std::vector<Selection> selections;
  for (uint32_t m = 0; m < modules.size(); ++m) {
    const ModuleRef& ref = modules[m];
    const std::string basename = ref.module->Basename();
    if (!WantsModule(basename, ref.is_main_executable)) continue;
    Selection selection;
    selection.module = m;
    for (uint32_t f = 0; f < ref.module->functions.size(); ++f) {
      if (Matches(basename, ref.is_main_executable, ref.module->functions[f])) {
        selection.functions.push_back(f);
      }
    }
    if (!selection.functions.empty()) selections.push_back(selection);
  }
  for (const Term& term : terms_) {
    if (term.exclude) continue;
    absl::Status matched = CheckMatches(term, modules);
    if (!matched.ok()) return matched;
  }
  return selections;
}

absl::Status FunctionPattern::CheckMatches(const Term& term, absl::Span<const ModuleRef> modules) {
  size_t searched = 0;
  std::vector<std::string> module_names;
  for (const ModuleRef& ref : modules) {
    const std::string basename = ref.module->Basename();
    module_names.push_back(basename);
    if (!TermWantsModule(term, basename, ref.is_main_executable)) continue;
    searched += ref.module->functions.size();
    for (const symbols::Function& function : ref.module->functions) {
      if (TermMatchesName(term, function)) return absl::OkStatus();
    }
  }
  std::string message =
      absl::StrCat("function pattern \"", term.text, "\" matches none of ", searched, " functions");
  if (searched == 0) {
    return absl::NotFoundError(
        absl::StrCat(message, "; the modules are: ", absl::StrJoin(module_names, ", ")));
  }
  Suggestions suggestions(term.name_glob, kSuggestions);
  for (const ModuleRef& ref : modules) {
    if (!TermWantsModule(term, ref.module->Basename(), ref.is_main_executable)) {
      continue;
    }
    for (const symbols::Function& function : ref.module->functions) {
      suggestions.Consider(function.short_name);
    }
  }
  const std::vector<std::string> best = suggestions.Best();
  if (best.empty()) {
    return absl::NotFoundError(
        absl::StrCat(message, "; use \"*\", or MODULE:NAME for a shared library"));
  }
  return absl::NotFoundError(absl::StrCat(message, "; close names: ", absl::StrJoin(best, ", ")));
}

}  // namespace flightrec::pattern
