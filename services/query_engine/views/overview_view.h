// What a recording holds, in numbers. Stateless; from any thread.
#ifndef SERVICES_QUERY_ENGINE_VIEWS_OVERVIEW_VIEW_H_
#define SERVICES_QUERY_ENGINE_VIEWS_OVERVIEW_VIEW_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "services/query_engine/engine/database.h"

namespace flightrec::query_engine {

struct OverviewNumbers {
  // With recorded calls.
  uint64_t threads = 0;
  uint64_t functions_called = 0;
  uint64_t paths = 0;
  // Ended, open and lost.
  uint64_t calls = 0;
  // From the first entry to the last exit.
  uint64_t span_ns = 0;

  bool operator==(const OverviewNumbers&) const = default;
};

absl::StatusOr<OverviewNumbers> CountOverview(Database& database);

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_VIEWS_OVERVIEW_VIEW_H_
