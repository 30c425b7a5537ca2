#include "services/tracer/lane/lane_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "services/tracer/lane/slot_registry.h"

namespace flightrec::lane {
namespace {

// Stubs reach the shared part of an entry with a signed 32-bit distance, see FarthestByte.
constexpr uint64_t kMaxDistance = INT32_MAX;
// Prepare takes at most so much of the file system.
constexpr uint64_t kMaxPreparedBytes = uint64_t{8} << 20;

// In <sys/mman.h> only of newer systems.
constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE

uint64_t RoundUpToPage(uint64_t value) { return (value + kPageBytes - 1) & ~(kPageBytes - 1); }

absl::Status CheckRange(const char* name, uint64_t value, uint64_t low, uint64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", value, ", must be from ", low, " to ", high));
}

absl::Status CheckLimits(const LaneLimits& limits, uint32_t function_count) {
  absl::Status status = CheckRange("thread limit", limits.threads, 1, kMaxThreads);
  if (status.ok()) {
    status = CheckRange("lane size in bytes", limits.ring_bytes, kMinRingBytes, kMaxRingBytes);
  }
  if (status.ok()) {
    status = CheckRange("call depth", limits.shadow_entries, kMinShadowEntries, kMaxShadowEntries);
  }
  if (status.ok()) {
    status = CheckRange("number of functions", function_count, 0, kMaxFunctions);
  }
  if (status.ok() && (limits.ring_bytes & (limits.ring_bytes - 1)) != 0) {
    status = absl::InvalidArgumentError(
        absl::StrCat("lane size in bytes is ", limits.ring_bytes, ", not a power of two"));
  }
  return status;
}

// `function_count` is the room, for functions hooked later too.
FileHeader MakeHeader(const LaneLimits& limits, uint32_t function_count,
                      const ProcessIdentity& identity, uint64_t features) {
  FileHeader header = {};
  memcpy(header.magic, kMagic, sizeof(kMagic));
  header.version = kVersion;
  header.header_bytes = kPageBytes;
  header.required_features = features;
  header.slot_count = limits.threads;
  header.function_count = function_count;
  header.drops_offset = kPageBytes;
  const uint64_t counters_bytes = RoundUpToPage(uint64_t{function_count} * sizeof(uint64_t));
  const bool filters = (features & kFilters) != 0;
  if (filters) header.filtered_offset = static_cast<uint32_t>(kPageBytes + counters_bytes);
  header.shadow_offset = static_cast<uint32_t>(kPageBytes + counters_bytes * (filters ? 2 : 1));
  header.shadow_entries = limits.shadow_entries;
  const uint64_t shadow_bytes =
      RoundUpToPage(uint64_t{limits.shadow_entries} * sizeof(OpenCallEntry));
  header.ring_offset = static_cast<uint32_t>(header.shadow_offset + shadow_bytes);
  header.ring_bytes = limits.ring_bytes;
  header.slot_bytes = uint64_t{header.ring_offset} + limits.ring_bytes;
  header.pid = identity.pid;
  header.process_start_ticks = identity.start_ticks;
  FreeAllSlots(&header);
  const size_t length = std::min(identity.boot_id.size(), sizeof(header.boot_id) - 1);
  memcpy(header.boot_id, identity.boot_id.data(), length);
  return header;
}

uint64_t FileBytes(const FileHeader& header) {
  return header.header_bytes + header.slot_count * header.slot_bytes;
}

// From an entry of a thread's private shadow stack to the end of its shared part: the private parts
// of all slots come first, then the lane file.
uint64_t FarthestByte(const FileHeader& header) {
  return header.slot_count * header.slot_bytes + header.header_bytes + header.shadow_offset +
         sizeof(OpenCallEntry);
}

// A header whose places all lie inside the file and do not overlap.
bool IsConsistent(const FileHeader& header, uint64_t size) {
  const LaneLimits limits = {header.slot_count, header.ring_bytes, header.shadow_entries};
  if (!CheckLimits(limits, header.function_count).ok()) return false;
  const FileHeader expected =
      MakeHeader(limits, header.function_count, ProcessIdentity(), header.required_features);
  return header.header_bytes == expected.header_bytes && header.slot_bytes == expected.slot_bytes &&
         header.drops_offset == expected.drops_offset &&
         header.filtered_offset == expected.filtered_offset &&
         header.shadow_offset == expected.shadow_offset &&
         header.ring_offset == expected.ring_offset && FileBytes(header) == size;
}

// `functions` and as many of the spare ones as fit.
uint32_t RoomFor(const LaneLimits& limits, uint32_t functions, uint64_t features) {
  const FileHeader least = MakeHeader(limits, functions, ProcessIdentity(), features);
  const uint64_t used = FarthestByte(least);
  if (used >= kMaxDistance) return functions;
  // A page less: the counters are rounded up to one.
  const uint64_t counters = (features & kFilters) != 0 ? 2 : 1;
  // In every slot, and once more in front of the first shared entry.
  const uint64_t bytes = (kMaxDistance - used) / (least.slot_count + 1) / counters;
  const uint64_t fitting = bytes < kPageBytes ? 0 : (bytes - kPageBytes) / sizeof(uint64_t);
  const uint64_t spare = std::min<uint64_t>(limits.spare_functions, fitting);
  return static_cast<uint32_t>(
      std::clamp<uint64_t>(functions + spare, 1, std::max(functions, kMaxFunctions)));
}

absl::Status CheckHeader(const std::string& path, const FileHeader& header, uint64_t size) {
  if (memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) {
    return absl::DataLossError(absl::StrCat(path, " is not a lane file"));
  }
  if (header.version != kVersion || (header.required_features & ~kKnownFeatures) != 0) {
    return absl::UnimplementedError(
        absl::StrCat(path, " has version ", header.version, ", features ", header.required_features,
                     "; this program reads version ", kVersion, ": use the tracer that wrote it"));
  }
  if (!IsConsistent(header, size)) {
    return absl::DataLossError(
        absl::StrCat(path, " is damaged: its header does not fit its ", size, " bytes"));
  }
  return absl::OkStatus();
}

absl::Status FileError(const std::string& what, const std::string& path) {
  const int error = errno;
  const std::string text = absl::StrCat(what, " ", path, ": ", strerror(error));
  if (error == ENOSPC || error == ENOMEM || error == EMFILE || error == EFAULT) {
    return absl::ResourceExhaustedError(text);
  }
  return absl::FailedPreconditionError(text);
}

}  // namespace

absl::StatusOr<std::unique_ptr<LaneFile>> LaneFile::Create(const std::string& path,
                                                           const LaneLimits& limits,
                                                           uint32_t function_count,
                                                           const ProcessIdentity& identity,
                                                           uint64_t features) {
  if (absl::Status status = CheckLimits(limits, function_count); !status.ok()) {
    return status;
  }
  FileHeader header =
      MakeHeader(limits, RoomFor(limits, function_count, features), identity, features);
  header.functions_in_use = function_count;
  if (FarthestByte(header) > kMaxDistance) {
    return absl::InvalidArgumentError(absl::StrCat("lanes of ", header.slot_count, " threads take ",
                                                   FarthestByte(header), " bytes, more than ",
                                                   kMaxDistance,
                                                   "; lower the thread limit, the lane size or the "
                                                   "call depth"));
  }
  const int file =
      open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file < 0) return FileError("cannot create", path);
  absl::Cleanup close_file = [file] { close(file); };
  const uint64_t size = FileBytes(header);
  if (ftruncate(file, static_cast<off_t>(size)) != 0 ||
      pwrite(file, &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header))) {
    const absl::Status status = FileError("cannot write", path);
    unlink(path.c_str());
    return status;
  }
  return Map(path, file, size);
}

absl::StatusOr<std::unique_ptr<LaneFile>> LaneFile::Open(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) return FileError("cannot open", path);
  absl::Cleanup close_file = [file] { close(file); };
  struct stat info;
  if (fstat(file, &info) != 0) return FileError("cannot stat", path);
  return Map(path, file, static_cast<uint64_t>(info.st_size));
}

absl::StatusOr<std::unique_ptr<LaneFile>> LaneFile::Map(const std::string& path, int file,
                                                        uint64_t size) {
  FileHeader header = {};
  if (pread(file, &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header))) {
    return absl::DataLossError(absl::StrCat(path, " is shorter than the header of a lane file"));
  }
  if (absl::Status status = CheckHeader(path, header, size); !status.ok()) {
    return status;
  }
  void* base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (base == MAP_FAILED) return FileError("cannot map", path);
  return std::unique_ptr<LaneFile>(
      new LaneFile(path, static_cast<unsigned char*>(base), size, header));
}

uint32_t LaneFile::functions_in_use() const {
  // Acquire: pairs with the release in UseFunctions.
  return std::min(__atomic_load_n(&header().functions_in_use, __ATOMIC_ACQUIRE),
                  layout_.function_count);
}

absl::Status LaneFile::UseFunctions(uint32_t count) {
  const uint32_t used = functions_in_use();
  if (count <= used) return absl::OkStatus();
  if (count > layout_.function_count) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the lanes of this process have room for ", layout_.function_count, " functions, not for ",
        count, "; hook fewer, or name them when the program is launched"));
  }
  const auto populate = [used, count](uint64_t* counters) {
    const uint64_t low = reinterpret_cast<uint64_t>(counters + used) & ~(kPageBytes - 1);
    const auto high = reinterpret_cast<uint64_t>(counters + count);
    // EINVAL: a kernel before 5.14, which gives memory when it is touched.
    return madvise(reinterpret_cast<void*>(low), high - low, kPopulateWrite) == 0 ||
           errno == EINVAL;
  };
  for (uint32_t slot = 0; slot < layout_.slot_count; ++slot) {
    if (!populate(drops(slot)) || (Has(kFilters) && !populate(filtered(slot))))
      return FileError("cannot make room for more functions in", path_);
  }
  // Release: a reader that sees the number finds the counters.
  __atomic_store_n(&header().functions_in_use, count, __ATOMIC_RELEASE);
  return absl::OkStatus();
}

uint32_t LaneFile::Prepare(uint32_t limit) {
  const uint64_t counters = RoundUpToPage(functions_in_use() * sizeof(uint64_t));
  const uint64_t drops_end = layout_.drops_offset + counters;
  const uint64_t filtered_bytes = Has(kFilters) ? counters : 0;
  const uint64_t per_slot = drops_end + filtered_bytes + 2 * kPageBytes;
  const auto slots = static_cast<uint32_t>(
      std::min<uint64_t>({limit, layout_.slot_count, kMaxPreparedBytes / per_slot}));
  const auto populate = [](unsigned char* from, uint64_t bytes) {
    return bytes == 0 || madvise(from, bytes, kPopulateWrite) == 0;
  };
  for (uint32_t slot = 0; slot < slots; ++slot) {
    unsigned char* base = Slot(slot);
    if (!populate(base, drops_end) || !populate(base + layout_.shadow_offset, kPageBytes) ||
        !populate(base + layout_.ring_offset, kPageBytes) ||
        !populate(base + layout_.filtered_offset, filtered_bytes)) {
      break;
    }
    prepared_slots_ = slot + 1;
    SlotControl& slot_control = control(slot);
    slot_control.shadow_populated = kPageBytes;
    slot_control.ring_populated = kPageBytes;
  }
  return prepared_slots_;
}

bool LaneFile::Populate(uint32_t slot) const {
  // EINVAL: a kernel before 5.14, which gives memory when it is touched.
  return madvise(Slot(slot), kPageBytes, kPopulateWrite) == 0 || errno == EINVAL;
}

LaneFile::~LaneFile() { munmap(base_, size_); }

absl::Status LaneFile::Remove() {
  if (unlink(path_.c_str()) != 0) return FileError("cannot remove", path_);
  return absl::OkStatus();
}

}  // namespace flightrec::lane
