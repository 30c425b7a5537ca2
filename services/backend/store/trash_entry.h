// A deleted recording as the store keeps it; FORMAT.md describes the bytes.
//
// A value; has the functions of a message, so that it is listed like one.
#ifndef SERVICES_BACKEND_STORE_TRASH_ENTRY_H_
#define SERVICES_BACKEND_STORE_TRASH_ENTRY_H_

#include <cstdint>
#include <string>

#include "flightrec/trace/v1/trace.pb.h"

namespace flightrec::backend {

struct TrashEntry {
  trace::v1::Recording recording;
  // Seconds since the epoch.
  int64_t delete_time = 0;
  int64_t purge_time = 0;

  std::string SerializeAsString() const;
  bool ParseFromArray(const void* bytes, int size);
  std::string GetTypeName() const { return "deleted recording"; }
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_TRASH_ENTRY_H_
