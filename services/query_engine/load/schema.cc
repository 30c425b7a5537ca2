#include "services/query_engine/load/schema.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace flightrec::query_engine {

std::string CreateCallsView(absl::string_view recording_id) {
  return absl::StrCat("CREATE VIEW calls AS SELECT '",
                      absl::StrReplaceAll(recording_id, {{"'", "''"}}),
                      "' AS recording_id, * FROM stored.calls");
}

}  // namespace flightrec::query_engine
