// The engine's errors as our statuses. Pure functions.
#ifndef SERVICES_QUERY_ENGINE_ENGINE_ENGINE_ERROR_H_
#define SERVICES_QUERY_ENGINE_ENGINE_ENGINE_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "duckdb.h"

namespace flightrec::query_engine {

// `message` is the engine's, with line and caret; it is kept whole, but for the
// advice about memory. What the
// caller wrote wrongly is INVALID_ARGUMENT, what the sandbox refuses
// PERMISSION_DENIED, a limit RESOURCE_EXHAUSTED, an interrupt CANCELLED, the
// rest INTERNAL.
absl::Status EngineError(duckdb_error_type type, absl::string_view message);

// The same when the engine gives no type, from the first words of `message`.
absl::Status EngineError(absl::string_view message);

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_ENGINE_ENGINE_ERROR_H_
