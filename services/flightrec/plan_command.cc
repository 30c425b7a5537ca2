#include "services/flightrec/plan_command.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"

namespace flightrec::cli {
namespace {

// Reading the symbols of a very large program takes seconds.
constexpr absl::Duration kPlanDeadline = absl::Minutes(2);
constexpr int kExamplesInTable = 3;

absl::StatusOr<capture::v1::PlanProbesResponse> Ask(CaptureStub& capture, const CommandLine& line,
                                                    const PlanQuestion& question) {
  capture::v1::PlanProbesRequest request;
  request.set_executable(line.program.front());
  *request.mutable_probes()->mutable_patterns() = {question.patterns.begin(),
                                                   question.patterns.end()};
  // Totals and examples are what is shown.
  request.set_page_size(1);
  request.mutable_probes()->set_trap_short_functions(line.trap_short_functions);
  grpc::ClientContext context;
  rpc::SetDeadline(context, kPlanDeadline);
  capture::v1::PlanProbesResponse response;
  grpc::Status asked = capture.PlanProbes(&context, request, &response);
  if (!asked.ok()) return rpc::FromGrpcStatus(asked);
  return response;
}

// What becomes of functions, for one row.
struct Fate {
  std::string name;
  uint64_t functions = 0;
  bool hooked = false;
  std::string description;
  std::vector<std::string> examples;
};

std::vector<Fate> HookedFates(const capture::v1::PlanProbesResponse& plan) {
  std::vector<Fate> fates;
  for (const capture::v1::PlannedMethod& method : plan.methods()) {
    const bool sled = method.method() == capture::v1::PROBE_METHOD_SLED;
    fates.push_back({sled ? "SLED" : "INLINE",
                     method.functions(),
                     true,
                     sled ? "A jump in the place that the compiler left for it."
                          : "A jump over its first instructions, which are relocated.",
                     {method.examples().begin(), method.examples().end()}});
  }
  return fates;
}

std::vector<Fate> Fates(const capture::v1::PlanProbesResponse& plan) {
  std::vector<Fate> fates = HookedFates(plan);
  for (const trace::v1::Refusal& refusal : plan.refusals()) {
    fates.push_back({refusal.reason(),
                     refusal.functions(),
                     false,
                     refusal.description(),
                     {refusal.examples().begin(), refusal.examples().end()}});
  }
  return fates;
}

// A table is for people: few names, short ones.
std::string Examples(const Fate& fate, OutputFormat format) {
  if (format != OutputFormat::kTable) return absl::StrJoin(fate.examples, "; ");
  std::vector<std::string> brief;
  for (const std::string& name : fate.examples) {
    if (brief.size() == kExamplesInTable) break;
    brief.push_back(BriefName(name));
  }
  return absl::StrCat(absl::StrJoin(brief, "; "), fate.functions > brief.size() ? "; ..." : "");
}

void AddRows(const PlanQuestion& question, const capture::v1::PlanProbesResponse& plan,
             OutputFormat format, Table& table) {
  for (const Fate& fate : Fates(plan)) {
    Cell cost;
    if (fate.hooked && plan.expected_ns_per_call() > 0) cost = plan.expected_ns_per_call();
    std::vector<Cell> row = {question.label, std::string(fate.hooked ? "hooked" : "refused"),
                             fate.name, fate.functions, Examples(fate, format)};
    if (format != OutputFormat::kTable) {
      row.insert(row.end(), {fate.description, cost});
    }
    table.rows.push_back(std::move(row));
  }
}

std::string Heading(const PlanQuestion& question, const capture::v1::PlanProbesResponse& plan) {
  const uint64_t hooked = plan.functions_hooked();
  std::string text = absl::StrCat(question.label, ": ", GroupDigits(plan.functions_matched()),
                                  " functions, ", GroupDigits(hooked), " would be hooked");
  if (hooked != 0 && plan.expected_ns_per_call() > 0) {
    absl::StrAppendFormat(&text, ", about %.0f ns a call", plan.expected_ns_per_call());
  }
  return absl::StrCat(text, "\n");
}

// Each reason of the table once, with its sentence.
std::string Legend(const std::vector<capture::v1::PlanProbesResponse>& plans) {
  std::vector<std::string> lines;
  for (const capture::v1::PlanProbesResponse& plan : plans) {
    for (const trace::v1::Refusal& refusal : plan.refusals()) {
      std::string line = absl::StrCat(refusal.reason(), ": ", refusal.description());
      if (std::find(lines.begin(), lines.end(), line) == lines.end()) {
        lines.push_back(std::move(line));
      }
    }
  }
  return absl::StrJoin(lines, "\n");
}

}  // namespace

absl::StatusOr<std::vector<PlanQuestion>> PlanQuestions(const std::vector<std::string>& patterns) {
  std::vector<std::string> exclusions;
  std::vector<PlanQuestion> questions;
  for (const std::string& pattern : patterns) {
    if (absl::StartsWith(pattern, "!")) {
      exclusions.push_back(pattern);
    } else {
      questions.push_back({pattern, {pattern}});
    }
  }
  if (questions.empty()) questions.push_back({"*", {"*"}});
  if (questions.size() > kMaxPlanPatterns) {
    return absl::InvalidArgumentError(absl::StrCat(
        "plan: ", questions.size(), " patterns; ask for at most ", kMaxPlanPatterns, " at once"));
  }
  for (PlanQuestion& question : questions) {
    question.patterns.insert(question.patterns.end(), exclusions.begin(), exclusions.end());
  }
  return questions;
}

absl::StatusOr<View> Plan(CaptureStub& capture, const CommandLine& line) {
  const auto questions = PlanQuestions(line.patterns);
  if (!questions.ok()) return questions.status();
  View view;
  view.table.columns = {{"pattern"}, {"fate"}, {"how"}, {"functions"}, {"examples"}};
  if (line.output != OutputFormat::kTable) {
    view.table.columns.insert(view.table.columns.end(),
                              {{"description"}, {"expected_ns_per_call"}});
  }
  std::vector<capture::v1::PlanProbesResponse> plans;
  for (const PlanQuestion& question : *questions) {
    absl::StatusOr<capture::v1::PlanProbesResponse> plan = Ask(capture, line, question);
    if (!plan.ok()) return plan.status();
    view.heading += Heading(question, *plan);
    AddRows(question, *plan, line.output, view.table);
    plans.push_back(*std::move(plan));
  }
  view.heading += "\n";
  if (line.output == OutputFormat::kTable) view.footnote = Legend(plans);
  return view;
}

}  // namespace flightrec::cli
