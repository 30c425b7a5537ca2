// The tables of a loaded recording. SQL.md documents what users see of them.
// Constants only.
#ifndef SERVICES_QUERY_ENGINE_LOAD_SCHEMA_H_
#define SERVICES_QUERY_ENGINE_LOAD_SCHEMA_H_

#include <string>

#include "absl/strings/string_view.h"

namespace flightrec::query_engine {

// Tables that rows are appended to; schema `stored` holds what users see
// through a view.
inline constexpr char kCreateTables[] = R"(
CREATE SCHEMA stored;
CREATE SCHEMA rollup;
CREATE TABLE stored.calls(
  process_id UBIGINT, thread_id UBIGINT, call_id UBIGINT, parent_call_id UBIGINT,
  function_id UBIGINT, path_id UBIGINT, start_ns BIGINT, duration_ns BIGINT, self_ns BIGINT,
  depth INTEGER, outermost BOOLEAN);
CREATE TABLE functions(
  function_id UBIGINT, name VARCHAR, symbol VARCHAR, module VARCHAR, build_id VARCHAR,
  function_offset UBIGINT, size UBIGINT, source_file VARCHAR, source_line UINTEGER);
CREATE TABLE paths(
  path_id UBIGINT, parent_path_id UBIGINT, function_id UBIGINT, depth INTEGER);
CREATE TABLE threads(
  thread_id UBIGINT, process_id UBIGINT, tid INTEGER, ordinal UINTEGER, name VARCHAR);
CREATE TABLE processes(
  process_id UBIGINT, pid INTEGER, executable VARCHAR, command VARCHAR, host VARCHAR,
  start_ns BIGINT, exit_code INTEGER, signal INTEGER);
CREATE TABLE recordings(
  recording_id VARCHAR, state VARCHAR, start_ns BIGINT, end_ns BIGINT, command VARCHAR);
CREATE TABLE lost_calls(thread_id UBIGINT, function_id UBIGINT, calls UBIGINT, filtered BOOLEAN);
)";

// Sums that the views read instead of all calls. `calls` counts calls that
// ended, that are open, that were lost or filtered; times are of those that ended.
inline constexpr char kCreateRollups[] = R"(
CREATE TABLE rollup.functions AS
WITH recorded AS (
  SELECT function_id, count(*) AS calls, count(duration_ns) AS timed,
    coalesce(sum(duration_ns) FILTER (outermost), 0)::UBIGINT AS total_ns,
    coalesce(sum(self_ns), 0)::UBIGINT AS self_ns,
    min(duration_ns) AS min_ns, max(duration_ns) AS max_ns,
    quantile_disc(duration_ns, [0.5, 0.9, 0.99]) AS q
  FROM stored.calls GROUP BY function_id),
lost AS (SELECT function_id, sum(calls) AS calls FROM lost_calls
         WHERE function_id IS NOT NULL GROUP BY function_id)
SELECT coalesce(recorded.function_id, lost.function_id) AS function_id,
  (coalesce(recorded.calls, 0) + coalesce(lost.calls, 0))::UBIGINT AS calls,
  coalesce(timed, 0)::UBIGINT AS calls_timed,
  coalesce(total_ns, 0)::UBIGINT AS total_ns, coalesce(self_ns, 0)::UBIGINT AS self_ns,
  coalesce(min_ns, 0)::UBIGINT AS min_ns, coalesce(q[1], 0)::UBIGINT AS p50_ns,
  coalesce(q[2], 0)::UBIGINT AS p90_ns, coalesce(q[3], 0)::UBIGINT AS p99_ns,
  coalesce(max_ns, 0)::UBIGINT AS max_ns
FROM recorded FULL JOIN lost ON recorded.function_id = lost.function_id;
CREATE TABLE rollup.paths AS
SELECT path_id, count(*)::UBIGINT AS calls,
  coalesce(sum(duration_ns), 0)::UBIGINT AS total_ns, coalesce(sum(self_ns), 0)::UBIGINT AS self_ns
FROM stored.calls GROUP BY path_id;
CREATE TABLE rollup.recording AS
SELECT count(*)::UBIGINT AS calls, count(DISTINCT thread_id)::UBIGINT AS threads,
  greatest(coalesce(max(start_ns + coalesce(duration_ns, 0)) - min(start_ns), 0), 0)::UBIGINT
    AS span_ns
FROM stored.calls;
)";

// `calls` as users see it: the recording is the same in every row, so it takes
// no room.
std::string CreateCallsView(absl::string_view recording_id);

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_LOAD_SCHEMA_H_
