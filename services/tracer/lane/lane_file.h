// One traced process's lane file, mapped: creates it, or opens and checks one.
//
// Owns the mapping; the file stays until Remove. Const methods are thread-safe;
// what lies in the slots is shared with the traced process and reached through
// lane_reader.h. Does not start or stop anything in that process.
#ifndef SERVICES_TRACER_LANE_LANE_FILE_H_
#define SERVICES_TRACER_LANE_LANE_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/tracer/lane/layout.h"
#include "services/tracer/lane/ring.h"

namespace flightrec::lane {

struct LaneLimits {
  uint32_t threads = 64;
  uint32_t ring_bytes = 1u << 20;    // per thread, a power of two
  uint32_t shadow_entries = 131072;  // per thread: depth of calls
  // Room for functions that are hooked later; less where the whole would be too large. Takes memory
  // only when used.
  uint32_t spare_functions = 0;
};

struct ProcessIdentity {
  uint32_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat
  std::string boot_id;
};

class LaneFile {
 public:
  // `features` are bits of Feature. INVALID_ARGUMENT: a limit is out of range. RESOURCE_EXHAUSTED:
  // no room. FAILED_PRECONDITION: the folder cannot be used.
  static absl::StatusOr<std::unique_ptr<LaneFile>> Create(const std::string& path,
                                                          const LaneLimits& limits,
                                                          uint32_t function_count,
                                                          const ProcessIdentity& identity,
                                                          uint64_t features = 0);

  // DATA_LOSS: not a lane file or damaged. UNIMPLEMENTED: a version or feature
  // this program does not know.
  static absl::StatusOr<std::unique_ptr<LaneFile>> Open(const std::string& path);

  ~LaneFile();
  LaneFile(const LaneFile&) = delete;
  LaneFile& operator=(const LaneFile&) = delete;

  absl::Status Remove();

  // Functions below `count` may be called from now on: their drop counters get memory in every
  // slot. RESOURCE_EXHAUSTED: beyond the room made for them, or tmpfs is full.
  absl::Status UseFunctions(uint32_t count);
  // Never more than layout().function_count.
  uint32_t functions_in_use() const;

  // Gives memory to what a thread touches when it registers and makes its first calls, for the
  // first slots. Before the file is shared. As many slots as `limit` and the limits beside this
  // function's code allow; fewer if the file system is full: those take their memory when needed.
  // Returns their number.
  uint32_t Prepare(uint32_t limit);
  // Gives memory to the slot's control page, if it has none. False: the file system is full.
  bool Populate(uint32_t slot) const;
  // What Prepare returned; 0 before.
  uint32_t prepared_slots() const { return prepared_slots_; }

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  FileHeader& header() const { return *reinterpret_cast<FileHeader*>(base_); }
  // `slot` < header().slot_count.
  SlotControl& control(uint32_t slot) const { return *reinterpret_cast<SlotControl*>(Slot(slot)); }
  uint64_t* drops(uint32_t slot) const {
    return reinterpret_cast<uint64_t*>(Slot(slot) + layout_.drops_offset);
  }
  // Only with kFilters.
  uint64_t* filtered(uint32_t slot) const {
    return reinterpret_cast<uint64_t*>(Slot(slot) + layout_.filtered_offset);
  }
  bool Has(Feature feature) const { return (layout_.required_features & feature) != 0; }
  OpenCallEntry* shadow(uint32_t slot) const {
    return reinterpret_cast<OpenCallEntry*>(Slot(slot) + layout_.shadow_offset);
  }
  Ring ring(uint32_t slot) const {
    return {&control(slot), Slot(slot) + layout_.ring_offset, layout_.ring_bytes};
  }
  // The header as it was checked; the process cannot change this copy.
  const FileHeader& layout() const { return layout_; }

 private:
  LaneFile(std::string path, unsigned char* base, uint64_t size, const FileHeader& layout)
      : path_(std::move(path)), base_(base), size_(size), layout_(layout) {}

  static absl::StatusOr<std::unique_ptr<LaneFile>> Map(const std::string& path, int file,
                                                       uint64_t size);

  unsigned char* Slot(uint32_t slot) const {
    return base_ + layout_.header_bytes + slot * layout_.slot_bytes;
  }

  const std::string path_;
  unsigned char* const base_;
  const uint64_t size_;
  const FileHeader layout_;
  uint32_t prepared_slots_ = 0;
};

}  // namespace flightrec::lane

#endif  // SERVICES_TRACER_LANE_LANE_FILE_H_
