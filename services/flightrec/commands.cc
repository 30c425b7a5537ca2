#include "services/flightrec/commands.h"

#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "common/rpc/shutdown_signal.h"
#include "services/flightrec/all_in_one.h"
#include "services/flightrec/attach_command.h"
#include "services/flightrec/canary_command.h"
#include "services/flightrec/connection.h"
#include "services/flightrec/doctor.h"
#include "services/flightrec/doctor_facts.h"
#include "services/flightrec/plan_command.h"
#include "services/flightrec/probes_command.h"
#include "services/flightrec/ps_command.h"
#include "services/flightrec/run_command.h"
#include "services/flightrec/store_command.h"
#include "services/flightrec/tail_command.h"
#include "services/flightrec/views.h"
#include "services/mcp_bridge/mcp_bridge_server.h"

namespace flightrec::cli {
namespace {

int Fail(const absl::Status& status, int exit_code) {
  std::cerr << "flightrec: " << status.message() << "\n";
  return exit_code;
}

int ExitCodeOfRun(const absl::Status& status) {
  // NOT_FOUND too, and nothing was run: the command line is to be corrected.
  if (absl::StartsWith(status.message(), "function pattern ")) return kExitUsage;
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return kExitNotFound;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kInvalidArgument:
      return kExitNotExecutable;
    default:
      return kExitRunFailed;
  }
}

int ExecuteRun(const CommandLine& line, log::Logger* logger, metrics::Registry* registry) {
  auto connection = Connection::Open(line, Connection::Need::kCapture, logger, registry);
  if (!connection.ok()) return Fail(connection.status(), kExitRunFailed);
  absl::StatusOr<int> exit_code = Run(**connection, line);
  if (!exit_code.ok()) return Fail(exit_code.status(), ExitCodeOfRun(exit_code.status()));
  return *exit_code;
}

int ExecuteAttach(const CommandLine& line, log::Logger* logger, metrics::Registry* registry) {
  auto connection = Connection::Open(line, Connection::Need::kCapture, logger, registry);
  if (!connection.ok()) return Fail(connection.status(), kExitFailure);
  const absl::Status attached = Attach(**connection, line);
  return attached.ok() ? 0 : Fail(attached, kExitFailure);
}

int Print(const View& view, OutputFormat format) {
  if (format == OutputFormat::kTable) std::cout << view.heading;
  std::cout << Format(view.table, format) << std::flush;
  // A program that reads TSV or JSON gets nothing but rows; what is missing is said beside them.
  if (!view.footnote.empty()) {
    std::cerr << (format == OutputFormat::kTable ? "\n" : "") << view.footnote << "\n";
  }
  return std::cout.good() ? 0 : kExitFailure;
}

int ExecutePlan(const CommandLine& line, log::Logger* logger, metrics::Registry* registry) {
  auto connection = Connection::Open(line, Connection::Need::kCapture, logger, registry);
  if (!connection.ok()) return Fail(connection.status(), kExitFailure);
  auto capture = (*connection)->Capture();
  if (!capture.ok()) return Fail(capture.status(), kExitFailure);
  const absl::StatusOr<View> view = Plan(**capture, line);
  if (!view.ok()) return Fail(view.status(), kExitFailure);
  return Print(*view, line.output);
}

// The tracer that runs knows what it records; without one, a tracer of our own looks.
absl::StatusOr<View> ListProcesses(const CommandLine& line, log::Logger* logger,
                                   metrics::Registry* registry) {
  auto connection = Connection::Open(line, Connection::Need::kRunningTracer, logger, registry);
  if (absl::IsNotFound(connection.status())) {
    connection = Connection::Open(line, Connection::Need::kCapture, logger, registry);
  }
  if (!connection.ok()) return connection.status();
  auto capture = (*connection)->Capture();
  if (!capture.ok()) return capture.status();
  return Ps(**capture, line);
}

int ExecutePs(const CommandLine& line, log::Logger* logger, metrics::Registry* registry) {
  const absl::StatusOr<View> view = ListProcesses(line, logger, registry);
  if (!view.ok()) return Fail(view.status(), kExitFailure);
  return Print(*view, line.output);
}

absl::StatusOr<View> Ask(QueryStub& query, const CommandLine& line) {
  switch (line.command) {
    case Command::kReport:
      return Report(query, line);
    case Command::kTree:
      return Tree(query, line);
    case Command::kSql:
      return Sql(query, line);
    default:
      return Recordings(query, line);
  }
}

absl::StatusOr<View> ListDeleted(const CommandLine& line, log::Logger* logger,
                                 metrics::Registry* registry) {
  auto connection = Connection::Open(line, Connection::Need::kBackend, logger, registry);
  if (!connection.ok()) return connection.status();
  auto read = (*connection)->Read();
  if (!read.ok()) return read.status();
  return DeletedRecordings(**read, line);
}

absl::StatusOr<View> Answer(const CommandLine& line, log::Logger* logger,
                            metrics::Registry* registry) {
  if (line.command == Command::kRecordings && line.deleted) {
    return ListDeleted(line, logger, registry);
  }
  const bool probes = line.command == Command::kProbes;
  const Connection::Need need =
      probes ? Connection::Need::kRunningTracer : Connection::Need::kQuery;
  auto connection = Connection::Open(line, need, logger, registry);
  if (!connection.ok()) return connection.status();
  if (probes) return Probes(**connection, line);
  auto query = (*connection)->Query();
  if (!query.ok()) return query.status();
  return Ask(**query, line);
}

int ExecuteView(const CommandLine& line, log::Logger* logger, metrics::Registry* registry) {
  absl::StatusOr<View> view = Answer(line, logger, registry);
  if (!view.ok()) return Fail(view.status(), kExitFailure);
  return Print(*view, line.output);
}

int ExecuteTail(const CommandLine& line, log::Logger* logger, metrics::Registry* registry) {
  auto connection = Connection::Open(line, Connection::Need::kBackend, logger, registry);
  if (!connection.ok()) return Fail(connection.status(), kExitFailure);
  auto read = (*connection)->Read();
  if (!read.ok()) return Fail(read.status(), kExitFailure);
  const absl::Status tailed = Tail(**read, line, std::cout, std::cerr);
  return tailed.ok() ? 0 : Fail(tailed, kExitFailure);
}

absl::StatusOr<View> ChangeRecording(Connection& connection, const CommandLine& line) {
  auto read = connection.Read();
  if (!read.ok()) return read.status();
  return line.command == Command::kDelete ? DeleteRecording(**read, line.recording)
                                          : UndeleteRecording(**read, line.recording);
}

int ExecuteStore(const CommandLine& line, log::Logger* logger, metrics::Registry* registry) {
  uint64_t damages = 0;
  absl::StatusOr<View> view;
  if (line.command == Command::kRestore) {
    view = RestoreStore(line.directory, line.store);
  } else {
    auto connection = Connection::Open(line, Connection::Need::kBackend, logger, registry);
    if (!connection.ok()) return Fail(connection.status(), kExitFailure);
    auto admin = (*connection)->Admin();
    if (!admin.ok()) return Fail(admin.status(), kExitFailure);
    if (line.command == Command::kFsck) {
      view = CheckStore(**admin, damages);
    } else if (line.command == Command::kBackup) {
      view = BackUpStore(**admin, line.directory);
    } else {
      view = ChangeRecording(**connection, line);
    }
  }
  if (!view.ok()) return Fail(view.status(), kExitFailure);
  const int printed = Print(*view, line.output);
  return damages > 0 ? kExitFailure : printed;
}

int ExecuteCanary(const CommandLine& line, log::Logger* logger, metrics::Registry* registry) {
  auto connection = Connection::Open(line, Connection::Need::kBackend, logger, registry);
  if (!connection.ok()) return Fail(connection.status(), kExitFailure);
  absl::StatusOr<int> failed = RunCanary(**connection, line, *logger, *registry, std::cout);
  if (!failed.ok()) return Fail(failed.status(), kExitFailure);
  return *failed == 0 ? 0 : kExitFailure;
}

int ExecuteMcp(const CommandLine& line, log::Logger* logger, metrics::Registry* registry) {
  auto connection = Connection::Open(line, Connection::Need::kQuery, logger, registry);
  if (!connection.ok()) return Fail(connection.status(), kExitFailure);
  mcp_bridge::McpBridgeConfig config;
  config.query = (*connection)->query_address();
  config.query_channel = (*connection)->Channel(line.token_file);
  absl::Status served =
      mcp_bridge::ServeStdio(config, STDIN_FILENO, STDOUT_FILENO, logger, registry);
  return served.ok() ? 0 : Fail(served, kExitFailure);
}

int ExecuteClean(const CommandLine& line, log::Logger* logger, metrics::Registry* registry) {
  auto connection = Connection::Open(line, Connection::Need::kCapture, logger, registry);
  if (!connection.ok()) return Fail(connection.status(), kExitFailure);
  bool clean = true;
  for (const tracer::Recovered& one : (*connection)->recovered()) {
    std::cout << one.what << "\n";
    clean = clean && one.clean;
  }
  if ((*connection)->recovered().empty())
    std::cout << "nothing is left of tracers that were killed\n";
  std::cout << std::flush;
  return clean && std::cout.good() ? 0 : kExitFailure;
}

int ExecuteDoctor(const CommandLine& line) {
  const std::vector<Finding> findings = Diagnose(ReadDoctorFacts(line));
  const View view = DescribeFindings(findings, line.output);
  std::cout << view.heading;
  if (line.output != OutputFormat::kTable) std::cout << Format(view.table, line.output);
  std::cout << std::flush;
  return std::cout.good() && WillRecord(findings) ? 0 : kExitFailure;
}

int ExecuteUp(const CommandLine& line, log::Logger* logger, metrics::Registry* registry) {
  AllInOneConfig config;
  config.store = line.store;
  config.query = config.tracer = config.mcp = true;
  config.listen.tracer = line.tracer.empty() ? "127.0.0.1:7071" : line.tracer;
  config.listen.backend = line.backend.empty() ? "127.0.0.1:7072" : line.backend;
  config.listen.query = line.query.empty() ? "127.0.0.1:7073" : line.query;
  config.listen.mcp = line.mcp.empty() ? "127.0.0.1:7074" : line.mcp;
  config.state_directory = line.state_directory;
  config.recover = true;
  config.max_threads = line.max_threads;
  config.lane_bytes = line.lane_bytes;
  config.memory_limit_mb = line.memory_limit_mb;
  rpc::ShutdownSignal shutdown;
  absl::StatusOr<std::unique_ptr<AllInOne>> services = AllInOne::Start(config, logger, registry);
  if (!services.ok()) return Fail(services.status(), kExitFailure);
  const rpc::Endpoints& endpoints = (*services)->endpoints();
  std::cout << "tracer        " << endpoints.tracer << "  control token in "
            << endpoints.control_token_file << "\n"
            << "backend       " << endpoints.backend << "  store in " << line.store << "\n"
            << "query engine  " << endpoints.query << "\n"
            << "mcp bridge    " << endpoints.mcp << "\n"
            << "serving until interrupted" << std::endl;
  shutdown.Wait();
  (*services)->Drain();
  return 0;
}

}  // namespace

int Execute(const CommandLine& line, log::Logger* logger, metrics::Registry* registry) {
  switch (line.command) {
    case Command::kHelp:
      std::cout << HelpText();
      return 0;
    case Command::kRun:
      return ExecuteRun(line, logger, registry);
    case Command::kAttach:
      return ExecuteAttach(line, logger, registry);
    case Command::kPlan:
      return ExecutePlan(line, logger, registry);
    case Command::kTail:
      return ExecuteTail(line, logger, registry);
    case Command::kClean:
      return ExecuteClean(line, logger, registry);
    case Command::kPs:
      return ExecutePs(line, logger, registry);
    case Command::kDoctor:
      return ExecuteDoctor(line);
    case Command::kUp:
      return ExecuteUp(line, logger, registry);
    case Command::kFsck:
    case Command::kBackup:
    case Command::kRestore:
    case Command::kDelete:
    case Command::kUndelete:
      return ExecuteStore(line, logger, registry);
    case Command::kCanary:
      return ExecuteCanary(line, logger, registry);
    case Command::kMcp:
      return ExecuteMcp(line, logger, registry);
    default:
      return ExecuteView(line, logger, registry);
  }
}

}  // namespace flightrec::cli
