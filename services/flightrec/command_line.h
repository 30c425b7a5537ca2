// What the user asked of the `flightrec` command, parsed and checked. Values, no threads. Parsing
// reads nothing but its arguments: the environment and defaults come from main.

#ifndef SERVICES_FLIGHTREC_COMMAND_LINE_H_
#define SERVICES_FLIGHTREC_COMMAND_LINE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace flightrec::cli {

enum class OutputFormat { kTable, kTsv, kJson };

enum class Command {
  kHelp,
  kRun,
  kAttach,
  kPlan,
  kReport,
  kTree,
  kSql,
  kRecordings,
  kTail,
  kProbes,
  kPs,
  kDoctor,
  kUp,
  kMcp,
  kFsck,
  kBackup,
  kRestore,
  kDelete,
  kUndelete,
  kCanary,
  kClean
};

struct CommandLine {
  Command command = Command::kHelp;
  // Directory of the store; never empty after parsing.
  std::string store;
  OutputFormat output = OutputFormat::kTable;
  // "@latest" or a recording id.
  std::string recording = "@latest";
  // run, plan
  std::vector<std::string> patterns;
  std::vector<std::string> program;
  bool trap_short_functions = false;
  // attach: as in AttachRequest
  std::string target;
  // attach; 0: until the process ends or we are interrupted
  absl::Duration duration;
  // Not an argument: what the program gets besides 0, 1 and 2.
  std::vector<int> inherited_descriptors;
  // probes
  std::vector<std::string> add_patterns;
  std::vector<std::string> remove_patterns;
  // sql
  std::string statement;
  // backup, restore: the backup's directory.
  std::string directory;
  // recordings: those that were deleted and can be brought back.
  bool deleted = false;
  // ps: words that all have to match.
  std::string filter;
  // Where tracers have their state; empty: tracer::DefaultStateDirectory().
  std::string state_directory;
  // report, tree, recordings, tail, ps: rows at the most; canary: rounds.
  int limit = 0;
  // Services to use instead of those the store names: host:port, empty = find or start them. For
  // `up`: where they listen.
  std::string tracer;
  std::string query;
  std::string backend;
  std::string mcp;
  // canary: where its metrics are served; empty: nowhere.
  std::string metrics_listen;
  // Token for the services, and the tracer's control token.
  std::string token_file;
  std::string control_token_file;
  std::string tls_ca;
  // The tracer's limits, 0 = default.
  int max_threads = 0;
  int64_t lane_bytes = 0;
  // The query engine's, 0 = default.
  int64_t memory_limit_mb = 0;
  // Which calls of the program get a record; 0 and none = all.
  absl::Duration min_duration;
  int64_t filter_depth = 0;
  std::vector<std::string> thread_names;
  bool coarse_clock = false;
};

// INVALID_ARGUMENT names the word that is wrong and how it should be. `default_store` is used
// without --store.
absl::StatusOr<CommandLine> ParseCommandLine(absl::Span<const std::string> arguments,
                                             const std::string& default_store);

// What `flightrec help` prints.
std::string HelpText();

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_COMMAND_LINE_H_
