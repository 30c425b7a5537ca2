#include "services/flightrec/command_line.h"

#include <functional>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace flightrec::cli {
namespace {

constexpr int kMaxLimit = 100000;
// These take no value.
constexpr absl::string_view kTrapShortFunctions = "--trap_short_functions";
constexpr absl::string_view kDeleted = "--deleted";
// What a tracer takes.
constexpr int kMaxThreads = 1024;
constexpr int64_t kMaxLaneBytes = int64_t{256} << 20;
constexpr int64_t kMaxMemoryMb = int64_t{1} << 20;
constexpr absl::Duration kMaxMinDuration = absl::Hours(1);
constexpr int64_t kMaxFilterDepth = UINT32_MAX;
constexpr absl::Duration kMaxDuration = absl::Hours(24 * 365);

const std::map<std::string, Command>& Commands() {
  static const auto* const commands = new std::map<std::string, Command>{
      {"help", Command::kHelp},     {"--help", Command::kHelp},
      {"run", Command::kRun},       {"plan", Command::kPlan},
      {"report", Command::kReport}, {"tree", Command::kTree},
      {"sql", Command::kSql},       {"recordings", Command::kRecordings},
      {"probes", Command::kProbes}, {"ps", Command::kPs},
      {"tail", Command::kTail},     {"up", Command::kUp},
      {"mcp", Command::kMcp},       {"doctor", Command::kDoctor},
      {"fsck", Command::kFsck},     {"canary", Command::kCanary},
      {"backup", Command::kBackup}, {"restore", Command::kRestore},
      {"delete", Command::kDelete}, {"undelete", Command::kUndelete},
      {"attach", Command::kAttach}, {"clean", Command::kClean}};
  return *commands;
}

absl::Status ParseOutput(absl::string_view value, CommandLine& line) {
  if (value == "table") {
    line.output = OutputFormat::kTable;
  } else if (value == "tsv") {
    line.output = OutputFormat::kTsv;
  } else if (value == "json") {
    line.output = OutputFormat::kJson;
  } else {
    return absl::InvalidArgumentError(absl::StrCat("--output=", value, ": use table, tsv or json"));
  }
  return absl::OkStatus();
}

absl::Status ParseClock(absl::string_view value, CommandLine& line) {
  if (value != "exact" && value != "coarse") {
    return absl::InvalidArgumentError(absl::StrCat("--clock=", value, ": use exact or coarse"));
  }
  line.coarse_clock = value == "coarse";
  return absl::OkStatus();
}

absl::Status ParseMinDuration(absl::string_view value, CommandLine& line) {
  if (!absl::ParseDuration(value, &line.min_duration) || line.min_duration < absl::ZeroDuration() ||
      line.min_duration > kMaxMinDuration) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--min_duration=", value, ": use a time with its unit, such as 500ns or 1us, up to 1h"));
  }
  return absl::OkStatus();
}

absl::Status ParseDuration(absl::string_view value, CommandLine& line) {
  if (!absl::ParseDuration(value, &line.duration) || line.duration <= absl::ZeroDuration() ||
      line.duration > kMaxDuration) {
    return absl::InvalidArgumentError(
        absl::StrCat("--duration=", value, ": use a time with its unit, such as 10s or 5m"));
  }
  return absl::OkStatus();
}

template <typename Number>
absl::Status ParseNumber(absl::string_view flag, absl::string_view value, Number most,
                         Number& number) {
  if (!absl::SimpleAtoi(value, &number) || number < 1 || number > most) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, "=", value, ": use a whole number from 1 to ", most));
  }
  return absl::OkStatus();
}

using Setter = std::function<absl::Status(absl::string_view)>;

// Flags that take a value, by name.
std::map<std::string, Setter> Setters(CommandLine& line) {
  auto text = [](std::string& field) {
    return [&field](absl::string_view value) {
      field = std::string(value);
      return absl::OkStatus();
    };
  };
  auto list = [](std::vector<std::string>& field) {
    return [&field](absl::string_view value) {
      field.emplace_back(value);
      return absl::OkStatus();
    };
  };
  auto yes = [](absl::string_view flag, bool& field) {
    return [flag, &field](absl::string_view value) {
      field = true;
      return value.empty() ? absl::OkStatus()
                           : absl::InvalidArgumentError(
                                 absl::StrCat(flag, "=", value, ": it takes no value"));
    };
  };
  return {{"--store", text(line.store)},
          {"--tracer", text(line.tracer)},
          {"--query", text(line.query)},
          {"--backend", text(line.backend)},
          {"--state_dir", text(line.state_directory)},
          {"--mcp", text(line.mcp)},
          {"--metrics_listen", text(line.metrics_listen)},
          {"--token_file", text(line.token_file)},
          {"--control_token_file", text(line.control_token_file)},
          {"--tls_ca", text(line.tls_ca)},
          {std::string(kTrapShortFunctions), yes(kTrapShortFunctions, line.trap_short_functions)},
          {std::string(kDeleted), yes(kDeleted, line.deleted)},
          {"-f", list(line.patterns)},
          {"--function", list(line.patterns)},
          {"--add", list(line.add_patterns)},
          {"--remove", list(line.remove_patterns)},
          {"--thread", list(line.thread_names)},
          {"--clock", [&line](absl::string_view value) { return ParseClock(value, line); }},
          {"--min_duration",
           [&line](absl::string_view value) { return ParseMinDuration(value, line); }},
          {"--duration", [&line](absl::string_view value) { return ParseDuration(value, line); }},
          {"--filter_depth",
           [&line](absl::string_view value) {
             return ParseNumber("--filter_depth", value, kMaxFilterDepth, line.filter_depth);
           }},
          {"--output", [&line](absl::string_view value) { return ParseOutput(value, line); }},
          {"--limit",
           [&line](absl::string_view value) {
             return ParseNumber("--limit", value, kMaxLimit, line.limit);
           }},
          {"--max_threads",
           [&line](absl::string_view value) {
             return ParseNumber("--max_threads", value, kMaxThreads, line.max_threads);
           }},
          {"--lane_bytes",
           [&line](absl::string_view value) {
             return ParseNumber<int64_t>("--lane_bytes", value, kMaxLaneBytes, line.lane_bytes);
           }},
          {"--memory_limit_mb", [&line](absl::string_view value) {
             return ParseNumber("--memory_limit_mb", value, kMaxMemoryMb, line.memory_limit_mb);
           }}};
}

// A number is a pid.
std::string ProcessFilter(const std::vector<std::string>& words) {
  std::vector<std::string> filter;
  for (const std::string& word : words) {
    const bool pid = !word.empty() && word.find_first_not_of("0123456789") == std::string::npos;
    filter.push_back(pid ? absl::StrCat("pid:", word) : word);
  }
  return absl::StrJoin(filter, " ");
}

// What backup, restore, delete and undelete are about.
absl::Status TakeStoreWord(const std::vector<std::string>& words, CommandLine& line) {
  const bool directory = line.command == Command::kBackup || line.command == Command::kRestore;
  if (words.empty()) {
    return absl::InvalidArgumentError(
        directory ? "no directory of the backup; use: flightrec backup DIR, flightrec restore DIR "
                    "--store=NEW"
                  : "no recording; name it by its id: flightrec delete RECORDING");
  }
  (directory ? line.directory : line.recording) = words[0];
  return absl::OkStatus();
}

absl::Status TakeTarget(const std::vector<std::string>& words, CommandLine& line) {
  if (words.empty()) {
    return absl::InvalidArgumentError(
        "attach: no process; use: flightrec attach [-f PATTERN] PID|NAME");
  }
  line.target = words[0];
  return absl::OkStatus();
}

absl::Status TakeStatement(const std::vector<std::string>& words, CommandLine& line) {
  if (words.size() == 1) line.statement = words[0];
  if (words.size() >= 2) {
    line.recording = words[0];
    line.statement = words[1];
  }
  if (!line.statement.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("sql: no statement; use: flightrec sql @latest \"SELECT ...\"");
}

// The words that are not flags go to the command.
absl::Status TakePositional(const std::vector<std::string>& words, CommandLine& line) {
  size_t used = 0;
  switch (line.command) {
    case Command::kRun:
    case Command::kPlan:
      if (!line.program.empty()) break;
      line.program = words;
      used = words.size();
      if (words.empty()) {
        const char* name = line.command == Command::kRun ? "run" : "plan";
        return absl::InvalidArgumentError(absl::StrCat(name, ": no program; use: flightrec ", name,
                                                       " [-f PATTERN] -- PROGRAM ARGUMENTS..."));
      }
      break;
    case Command::kAttach:
      if (absl::Status taken = TakeTarget(words, line); !taken.ok()) return taken;
      used = 1;
      break;
    case Command::kSql:
      if (absl::Status taken = TakeStatement(words, line); !taken.ok()) return taken;
      used = words.size() > 2 ? 2 : words.size();
      break;
    case Command::kBackup:
    case Command::kRestore:
    case Command::kDelete:
    case Command::kUndelete: {
      absl::Status taken = TakeStoreWord(words, line);
      if (!taken.ok()) return taken;
      used = 1;
      break;
    }
    case Command::kProbes:
      if (line.add_patterns.empty() && line.remove_patterns.empty()) {
        return absl::InvalidArgumentError(
            "probes: no pattern; use: flightrec probes [RECORDING] --add=PATTERN --remove=PATTERN");
      }
      [[fallthrough]];
    case Command::kReport:
    case Command::kTree:
    case Command::kTail:
      if (!words.empty()) line.recording = words[0];
      used = words.empty() ? 0 : 1;
      break;
    case Command::kPs:
      line.filter = ProcessFilter(words);
      used = words.size();
      break;
    default:
      break;
  }
  if (used == words.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("'", words[used], "': one word too many; see: flightrec help"));
}

absl::StatusOr<Command> FindCommand(const std::string& word) {
  auto found = Commands().find(word);
  if (found != Commands().end()) return found->second;
  return absl::InvalidArgumentError(
      absl::StrCat("'", word,
                   "' is not a command; there are run, attach, plan, report, "
                   "tree, sql, recordings, tail, probes, ps, doctor, delete, undelete, "
                   "fsck, backup, restore, canary, clean, up, mcp and help"));
}

// Takes one flag with its value; `i` moves to the last word used.
absl::Status TakeFlag(absl::Span<const std::string> arguments,
                      const std::map<std::string, Setter>& setters, size_t& i) {
  const std::string& word = arguments[i];
  const size_t equals = word.find('=');
  const std::string name = word.substr(0, equals);
  if (word == kTrapShortFunctions || word == kDeleted) return setters.at(name)("");
  auto setter = setters.find(name);
  if (setter == setters.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", word, "' is not a flag; see: flightrec help"));
  }
  if (equals != std::string::npos)
    return setter->second(absl::string_view(word).substr(equals + 1));
  if (i + 1 == arguments.size())
    return absl::InvalidArgumentError(absl::StrCat(name, ": its value is missing"));
  return setter->second(arguments[++i]);
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(absl::Span<const std::string> arguments,
                                             const std::string& default_store) {
  CommandLine line;
  line.store = default_store;
  if (arguments.empty()) return line;
  absl::StatusOr<Command> command = FindCommand(arguments[0]);
  if (!command.ok()) return command.status();
  line.command = *command;

  const std::map<std::string, Setter> setters = Setters(line);
  std::vector<std::string> words;
  for (size_t i = 1; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--") {
      words.insert(words.end(), arguments.begin() + i + 1, arguments.end());
      break;
    }
    if (absl::StartsWith(word, "-") && word.size() > 1) {
      absl::Status taken = TakeFlag(arguments, setters, i);
      if (!taken.ok()) return taken;
      continue;
    }
    words.push_back(word);
    // A program's own flags are not ours.
    if (line.command == Command::kRun || line.command == Command::kPlan) {
      words.insert(words.end(), arguments.begin() + i + 1, arguments.end());
      break;
    }
  }
  absl::Status taken = TakePositional(words, line);
  if (!taken.ok()) return taken;
  if (line.store.empty()) {
    return absl::InvalidArgumentError(
        "--store is empty and there is no home directory: name a directory");
  }
  return line;
}

std::string HelpText() {
  return R"(flightrec records every call of an unmodified program and answers questions about them.

  flightrec run [-f PATTERN] -- PROGRAM ARGS...   record a program (all its functions, or those named)
  flightrec attach [-f PATTERN] PID|NAME          record a process that runs already, until Ctrl-C; it goes on as before;
                                                  NAME is a container, a program or CONTAINER/PROGRAM
  flightrec plan [-f PATTERN] -- PROGRAM          what that would hook, how, what not and why; runs nothing
  flightrec report [RECORDING]                    where the time went, by function
  flightrec tree [RECORDING]                      where the time went, by calling context
  flightrec sql [RECORDING] "SELECT ..."          any question; tables calls, functions, paths, threads,
                                                  processes, recordings, lost_calls
  flightrec recordings                            what was recorded
  flightrec tail [RECORDING]                      a line for each batch of calls as it becomes durable, until all is there
  flightrec probes [RECORDING] --add=PATTERN --remove=PATTERN
                                                  hook more functions of a program that is being recorded, or fewer
  flightrec ps [WORD...]                          processes that can be attached to, and why not the others; WORD is a
                                                  pid, or looked for in name, command, user, container, image, pod
                                                  (container:WORD: there only)
  flightrec doctor                                whether this machine can record, and what to change if not
  flightrec delete RECORDING                      remove one; `flightrec undelete RECORDING` brings it back for a day;
                                                  `flightrec recordings --deleted` lists those
  flightrec fsck                                  read all that is stored and report what is damaged; exits with 1 then
  flightrec backup DIR                            copy the store to a new directory, while it is in use
  flightrec restore DIR --store=NEW               make a store of a backup
  flightrec clean                                 after a tracer was killed: ends its recordings with the calls that its
                                                  lanes still have, takes its hooks out of running processes, removes
                                                  its files; exits with 1 when that fails
  flightrec canary                                write known recordings and read them back, until interrupted or --limit
                                                  rounds; exits with 1 when something acknowledged was not as written
  flightrec up                                    serve all of it over gRPC until interrupted
  flightrec mcp                                   serve agents over stdin and stdout (MCP)

RECORDING is @latest (the default) or an id from `flightrec recordings`.

  -f, --function=PATTERN   which functions; may be repeated; several are separated by commas
  --clock=exact|coarse     coarse: times from a clock that ticks about every 0.1 ms; a call costs less
  --min_duration=1us       leave out calls shorter than this; like the next two: left out calls are counted
  --filter_depth=N         leave out calls with N recorded calls around them
  --thread=GLOB            leave out threads with other names; may be repeated
  --duration=10s           attach: how long to record
  --add=PATTERN, --remove=PATTERN   functions to hook from now on, or no longer; may be repeated
  --trap_short_functions   hook functions too short for a jump by a trap: not possible yet, refused
  --output=table|tsv|json  how answers are printed
  --limit=N                rows at the most
  --store=DIR              where recordings are kept (default ~/.local/share/flightrec)
  --max_threads=N          threads recorded at once (default 64)
  --lane_bytes=N           bytes of a thread's lane, a power of two (default 1 MiB)
  --memory_limit_mb=N      memory for the answers about one recording (default 4096; 30 million calls take about so much)
  --tracer=HOST:PORT       record through this tracer; it needs --control_token_file
  --backend=HOST:PORT --query=HOST:PORT   use these services instead of those of the store; for `up`, where they
                           listen (also --tracer and --mcp; default 127.0.0.1:7071 to 7074)
  --metrics_listen=HOST:PORT              where `canary` serves its metrics (default: nowhere)
  --state_dir=DIR          where lanes of recorded programs are, on tmpfs (default /dev/shm/flightrec-UID)
  --token_file=FILE --tls_ca=FILE         how to reach services that ask for it

PATTERN, where * stands for any characters (:: and / included) and ? for one:
  main  ns::Foo::*         functions of the program by name, with or without arguments, or by symbol; parts that the
                           compiler made of them too
  libz.so*:deflate*        functions of a library, loaded at the start or later
  **                       every function of the program and its libraries
  @file:src/*.cc           by the end of their source file's path, as the debug information has it
  @usercode                of the program and its own libraries: not of those below /lib, /usr/lib and /usr/local/lib,
                           nor what headers of the system (/usr/include, C++ and Rust libraries) added
  !PATTERN                 not these
)";
}

}  // namespace flightrec::cli
