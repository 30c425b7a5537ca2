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
#include "services/tracer/pattern/user_code.h"
#include "services/tracer/symbols/names.h"

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

absl::string_view Basename(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

bool NameMatches(absl::string_view glob, const symbols::Function& function) {
  const auto matches = [glob](absl::string_view name) { return GlobMatches(glob, name); };
  return matches(function.short_name) || matches(function.name) ||
         matches(symbols::WithoutCloneMark(function.name)) || matches(function.symbol) ||
         matches(symbols::WithoutCloneSuffix(function.symbol)) ||
         std::any_of(function.aliases.begin(), function.aliases.end(), matches);
}

bool IsUserFunction(const symbols::Function& function, const symbols::SourceLines* lines) {
  const absl::string_view file =
      lines == nullptr ? absl::string_view() : lines->At(function.offset).file;
  return file.empty() ? !IsStandardName(function.short_name) : !IsSystemSource(file);
}

}  // namespace

// Parses one of the terms of a value; knows where it stands, for messages.
class FunctionPattern::TermParser {
 public:
  TermParser(absl::string_view value, absl::string_view text)
      : value_(value), rest_(absl::StripAsciiWhitespace(text)) {}

  absl::StatusOr<Term> Parse() {
    Term term;
    term.text = std::string(rest_);
    term.exclude = absl::ConsumePrefix(&rest_, "!");
    if (rest_.empty()) return Bad("a name is missing", "main,ns::Foo::*");
    if (rest_ == "**") rest_ = "*:*";
    if (rest_[0] != '@') {
      if (const size_t colon = ModuleSeparator(rest_); colon != absl::string_view::npos) {
        term.module_glob = std::string(rest_.substr(0, colon));
        if (term.module_glob.empty())
          return Bad("the module is missing before \":\"", kModuleExample);
        rest_.remove_prefix(colon + 1);
        if (rest_.empty()) return Bad("the name is missing after \":\"", kModuleExample);
      }
    }
    if (rest_[0] == '!') return Bad("\"!\" stands before the module", "!libz.so*:inflate*");
    if (rest_[0] == '@') return ParseSelector(std::move(term));
    term.glob = std::string(rest_);
    return term;
  }

 private:
  static constexpr char kModuleExample[] = "libz.so*:deflate*";

  absl::StatusOr<Term> ParseSelector(Term term) {
    if (rest_ == "@usercode") {
      term.subject = Subject::kUserCode;
      return term;
    }
    term.subject = Subject::kSource;
    if (!absl::ConsumePrefix(&rest_, "@file:")) {
      return Bad("what starts with \"@\" is @usercode or @file:GLOB", "@file:src/*.cc");
    }
    if (rest_.empty()) return Bad("the file is missing after \"@file:\"", "@file:src/*.cc");
    term.glob = std::string(rest_);
    return term;
  }

  // At what is left to parse.
  absl::Status Bad(absl::string_view why, absl::string_view example) const {
    const bool inside =
        rest_.data() >= value_.data() && rest_.data() <= value_.data() + value_.size();
    const size_t place = inside ? static_cast<size_t>(rest_.data() - value_.data()) : 0;
    return absl::InvalidArgumentError(absl::StrCat("function pattern \"", value_, "\": ", why,
                                                   ", at character ", place + 1, "; for example ",
                                                   example));
  }

  const absl::string_view value_;
  absl::string_view rest_;
};

absl::StatusOr<FunctionPattern> FunctionPattern::Parse(absl::Span<const std::string> values) {
  FunctionPattern pattern;
  for (const std::string& value : values) {
    for (const absl::string_view text : SplitTerms(value)) {
      auto term = TermParser(value, text).Parse();
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
    pattern.terms_.push_back(*TermParser("*", "*").Parse());
  }
  return pattern;
}

bool FunctionPattern::TermWantsModule(const Term& term, absl::string_view path,
                                      bool is_main_executable) {
  if (!term.module_glob.empty()) return GlobMatches(term.module_glob, Basename(path));
  if (term.exclude && term.subject != Subject::kUserCode) return true;
  if (is_main_executable) return true;
  return term.subject != Subject::kName && !IsSystemLibrary(path);
}

bool FunctionPattern::TermMatches(const Term& term, const ModuleRef& module,
                                  const symbols::Function& function) {
  switch (term.subject) {
    case Subject::kName:
      return NameMatches(term.glob, function);
    case Subject::kSource:
      return module.lines != nullptr &&
             SourceMatches(term.glob, module.lines->At(function.offset).file);
    case Subject::kUserCode:
      return IsUserFunction(function, module.lines);
  }
  return false;
}

bool FunctionPattern::WantsModule(absl::string_view path, bool is_main_executable) const {
  return std::any_of(terms_.begin(), terms_.end(), [&](const Term& term) {
    return !term.exclude && TermWantsModule(term, path, is_main_executable);
  });
}

bool FunctionPattern::WantsLines(absl::string_view path, bool is_main_executable) const {
  return std::any_of(terms_.begin(), terms_.end(), [&](const Term& term) {
    return term.subject != Subject::kName && TermWantsModule(term, path, is_main_executable);
  });
}

bool FunctionPattern::Matches(const ModuleRef& module, const symbols::Function& function) const {
  bool included = false;
  for (const Term& term : terms_) {
    if (included && !term.exclude) continue;
    if (!TermWantsModule(term, module.module->path, module.is_main_executable) ||
        !TermMatches(term, module, function)) {
      continue;
    }
    if (term.exclude) return false;
    included = true;
  }
  return included;
}

absl::StatusOr<std::vector<Selection>> FunctionPattern::Select(absl::Span<const ModuleRef> modules,
                                                               Unmatched unmatched) const {
  std::vector<Selection> selections;
  for (uint32_t m = 0; m < modules.size(); ++m) {
    const ModuleRef& ref = modules[m];
    if (!WantsModule(ref.module->path, ref.is_main_executable)) continue;
    Selection selection;
    selection.module = m;
    for (uint32_t f = 0; f < ref.module->functions.size(); ++f) {
      if (Matches(ref, ref.module->functions[f])) selection.functions.push_back(f);
    }
    if (!selection.functions.empty()) selections.push_back(selection);
  }
  for (const Term& term : terms_) {
    if (term.exclude || unmatched == Unmatched::kIgnore) continue;
    if (unmatched == Unmatched::kRefuseUnlessLater && WaitsForLibrary(term, modules)) continue;
    absl::Status matched = CheckMatches(term, modules);
    if (!matched.ok()) return matched;
  }
  return selections;
}

bool FunctionPattern::WantsLibraries() const {
  return std::any_of(terms_.begin(), terms_.end(),
                     [](const Term& term) { return !term.exclude && WantsLibraries(term); });
}

bool FunctionPattern::WantsLibraries(const Term& term) {
  return !term.module_glob.empty() || term.subject != Subject::kName;
}

bool FunctionPattern::WaitsForLibrary(const Term& term, absl::Span<const ModuleRef> modules) {
  return !term.exclude && !term.module_glob.empty() &&
         std::none_of(modules.begin(), modules.end(), [&](const ModuleRef& ref) {
           return TermWantsModule(term, ref.module->path, ref.is_main_executable);
         });
}

std::vector<std::string> FunctionPattern::LaterTerms(absl::Span<const ModuleRef> modules) const {
  std::vector<std::string> later;
  for (const Term& term : terms_) {
    if (WaitsForLibrary(term, modules)) later.push_back(term.text);
  }
  return later;
}

absl::Status FunctionPattern::CheckMatches(const Term& term, absl::Span<const ModuleRef> modules) {
  size_t searched = 0;
  size_t with_source = 0;
  std::vector<std::string> module_names;
  for (const ModuleRef& ref : modules) {
    module_names.push_back(ref.module->Basename());
    if (!TermWantsModule(term, ref.module->path, ref.is_main_executable)) continue;
    searched += ref.module->functions.size();
    if (ref.lines != nullptr) with_source += ref.lines->size();
    for (const symbols::Function& function : ref.module->functions) {
      if (TermMatches(term, ref, function)) return absl::OkStatus();
    }
  }
  const std::string message =
      absl::StrCat("function pattern \"", term.text, "\" matches none of ", searched, " functions");
  if (searched == 0) {
    return absl::NotFoundError(
        absl::StrCat(message, "; the modules are: ", absl::StrJoin(module_names, ", ")));
  }
  if (term.subject == Subject::kSource && with_source == 0) {
    return absl::NotFoundError(absl::StrCat(
        message, "; none of them has a source file: compile with -g or install debug symbols"));
  }
  const std::vector<std::string> best = CloseNames(term, modules);
  if (best.empty()) {
    return absl::NotFoundError(
        absl::StrCat(message, "; use \"*\", or MODULE:NAME for a shared library"));
  }
  return absl::NotFoundError(absl::StrCat(
      message, term.subject == Subject::kSource ? "; close files: " : "; close names: ",
      absl::StrJoin(best, ", ")));
}

std::vector<std::string> FunctionPattern::CloseNames(const Term& term,
                                                     absl::Span<const ModuleRef> modules) {
  Suggestions suggestions(term.glob, kSuggestions);
  for (const ModuleRef& ref : modules) {
    if (!TermWantsModule(term, ref.module->path, ref.is_main_executable)) continue;
    for (const symbols::Function& function : ref.module->functions) {
      if (term.subject == Subject::kName) {
        suggestions.Consider(function.short_name);
      } else if (ref.lines != nullptr) {
        suggestions.Consider(Basename(ref.lines->At(function.offset).file));
      }
    }
  }
  return suggestions.Best();
}

}  // namespace flightrec::pattern
