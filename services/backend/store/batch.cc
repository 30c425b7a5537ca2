#include "services/backend/store/batch.h"

namespace flightrec::backend {

const char* RefusalReasonName(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::kBatchTooLarge:
      return "BATCH_TOO_LARGE";
    case RefusalReason::kItemInvalid:
      return "ITEM_INVALID";
    case RefusalReason::kItemTooLarge:
      return "ITEM_TOO_LARGE";
    case RefusalReason::kChunkTooLarge:
      return "CHUNK_TOO_LARGE";
    case RefusalReason::kChunkInvalid:
      return "CHUNK_INVALID";
    case RefusalReason::kChunkCorrupt:
      return "CHUNK_CORRUPT";
    case RefusalReason::kChunkUnknownVersion:
      return "CHUNK_UNKNOWN_VERSION";
    case RefusalReason::kChunkConflict:
      return "CHUNK_CONFLICT";
    case RefusalReason::kRecordingUnknown:
      return "RECORDING_UNKNOWN";
    case RefusalReason::kRecordingSealed:
      return "RECORDING_SEALED";
    case RefusalReason::kRecordingDeleted:
      return "RECORDING_DELETED";
    case RefusalReason::kTooManyRecordings:
      return "TOO_MANY_RECORDINGS";
    case RefusalReason::kCount:
      break;
  }
  return "UNKNOWN";
}

}  // namespace flightrec::backend
