#include "common/rpc/grpc_log.h"

#include <grpc/support/log.h>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace flightrec::rpc {
namespace {

ABSL_CONST_INIT absl::Mutex g_mutex(absl::kConstInit);
// Null: nobody listens, messages are dropped.
log::Logger* g_logger ABSL_GUARDED_BY(g_mutex) = nullptr;

log::Level LevelOf(gpr_log_severity severity) {
  switch (severity) {
    case GPR_LOG_SEVERITY_DEBUG:
      return log::Level::kDebug;
    case GPR_LOG_SEVERITY_INFO:
      return log::Level::kInfo;
    case GPR_LOG_SEVERITY_ERROR:
      return log::Level::kWarning;
  }
  return log::Level::kInfo;
}

void OnMessage(gpr_log_func_args* args) {
  absl::string_view file = args->file;
  const size_t slash = file.rfind('/');
  if (slash != absl::string_view::npos) file.remove_prefix(slash + 1);
  absl::MutexLock lock(&g_mutex);
  if (g_logger == nullptr) return;
  g_logger->Log(LevelOf(args->severity), "grpc",
                {{"source", absl::StrCat(file, ":", args->line)}, {"message", args->message}});
}

}  // namespace

GrpcLogRoute::GrpcLogRoute(log::Logger* logger) {
  absl::MutexLock lock(&g_mutex);
  g_logger = logger;
  gpr_set_log_function(OnMessage);
}

GrpcLogRoute::~GrpcLogRoute() {
  absl::MutexLock lock(&g_mutex);
  g_logger = nullptr;
}

}  // namespace flightrec::rpc
