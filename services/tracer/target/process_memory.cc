#include "services/tracer/target/process_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "services/tracer/agent/agent_image.h"
#include "services/tracer/inject/memory_map.h"
#include "services/tracer/target/descriptor_passing.h"
#include "services/tracer/target/left_memory.h"

namespace flightrec::target {
namespace {

constexpr uint64_t kPage = 4096;
constexpr int kDontDump = 16;    // MADV_DONTDUMP
constexpr int kWipeOnFork = 18;  // MADV_WIPEONFORK
// The kernel keeps at least this below the top of the first stack free.
constexpr uint64_t kMaxMainStack = uint64_t{128} << 20;

constexpr int kGapAttempts = 16;

uint64_t RoundUp(uint64_t value) { return (value + kPage - 1) & ~(kPage - 1); }

template <typename T>
absl::Span<const uint8_t> AsBytes(const T& value) {
  return absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(&value), sizeof(value));
}

}  // namespace

absl::StatusOr<uint64_t> ProcessMemory::Map(const char* what, uint64_t address, uint64_t bytes,
                                            int protection, int flags, int64_t file) {
  absl::StatusOr<uint64_t> mapped =
      process_.SystemCall(what, SYS_mmap,
                          {address, bytes, static_cast<uint64_t>(protection),
                           static_cast<uint64_t>(flags), static_cast<uint64_t>(file), 0});
  if (mapped.status().code() != absl::StatusCode::kResourceExhausted) return mapped;
  return absl::FailedPreconditionError(absl::StrCat(
      mapped.status().message(), ": it may not have ", (bytes >> 20) + 1,
      " MiB of addresses more; raise its limit (prlimit --as=unlimited --pid ", process_.pid(),
      ", vm.max_map_count, vm.overcommit_memory), or record fewer threads with smaller lanes "
      "(--max_threads, --lane_bytes)"));
}

absl::StatusOr<uint64_t> ProcessMemory::MapInGap(const char* what, const FindGap& find,
                                                 uint64_t bytes, int protection, int flags,
                                                 std::vector<RegionSpace>& spaces) {
  const MemoryKind kind = &spaces == &code_ ? MemoryKind::kCode : MemoryKind::kData;
  absl::StatusOr<uint64_t> address = absl::InternalError("not tried");
  // A program that runs may take a gap as soon as it is found.
  for (int attempt = 0; attempt < kGapAttempts && !address.ok(); ++attempt) {
    const absl::StatusOr<inject::MemoryMap> map = inject::MemoryMap::Read(process_.pid());
    if (!map.ok()) return map.status();
    const absl::StatusOr<uint64_t> gap = find(*map);
    if (!gap.ok()) return gap.status();
    // First on disk: a tracer that is killed in between leaves nothing that nobody knows.
    const absl::Status told = journal_.AddMemory(*gap, RoundUp(bytes), kind);
    if (!told.ok()) return told;
    address = Map(what, *gap, RoundUp(bytes), protection, flags | MAP_FIXED_NOREPLACE);
    if (address.ok() && *address != *gap) {
      return absl::FailedPreconditionError(
          absl::StrCat("memory was mapped at ", absl::Hex(*address), " instead of ",
                       absl::Hex(*gap), "; Linux 4.17 or newer is needed"));
    }
    if (!address.ok()) {
      const absl::Status unused = journal_.SetUnused(*gap);
      if (!unused.ok()) return unused;
    }
    if (address.status().code() != absl::StatusCode::kAlreadyExists) break;
  }
  if (!address.ok()) return address.status();
  spaces.push_back({*address, RoundUp(bytes)});
  const absl::Status told = journal_.SetMapped(*address);
  if (!told.ok()) return told;
  return address;
}

absl::StatusOr<uint64_t> ProcessMemory::MapAnywhere(const char* what, uint64_t bytes,
                                                    int protection, int flags) {
  return MapInGap(
      what, [bytes](const inject::MemoryMap& map) { return map.FindGap(bytes); }, bytes, protection,
      flags, data_);
}

absl::Status ProcessMemory::Prepare() {
  absl::Status status = MapLanes();
  if (status.ok()) status = TouchSlots();
  if (status.ok()) status = MapBlocks();
  if (status.ok()) status = FindMainStack();
  if (status.ok()) status = SetFilter();
  if (status.ok()) status = MapAgent();
  return status;
}

absl::StatusOr<PassedDescriptor> ProcessMemory::OpenLaneFile(uint64_t scratch) {
  if (access_ == LaneAccess::kByPath) return OpenLaneByPath(scratch);
  const int file = open(lane_->path().c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", lane_->path()));
  absl::StatusOr<PassedDescriptor> passed = PassDescriptor(process_, file, scratch);
  close(file);
  return passed;
}

absl::StatusOr<PassedDescriptor> ProcessMemory::OpenLaneByPath(uint64_t scratch) {
  const std::string& path = lane_->path();
  const absl::Status status = process_.Write(
      scratch,
      absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(path.c_str()), path.size() + 1));
  if (!status.ok()) return status;
  const absl::StatusOr<uint64_t> file =
      process_.SystemCall("opening the lane file", SYS_openat,
                          {static_cast<uint64_t>(AT_FDCWD), scratch, O_RDWR | O_CLOEXEC});
  if (!file.ok()) return file.status();
  return PassedDescriptor{*file, FileBehind(process_.pid(), static_cast<int64_t>(*file))};
}

// One reserved range: private shadow stacks, then the lane file, so that the
// distance of an entry's two parts is the same constant for every slot.
absl::Status ProcessMemory::MapLanes() {
  const lane::FileHeader& layout = lane_->layout();
  const uint64_t shadows_bytes = layout.slot_count * layout.slot_bytes;
  constexpr int kReserve = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  const absl::StatusOr<uint64_t> room =
      MapAnywhere("reserving memory for lanes", kFrameRoom + shadows_bytes + lane_->size(),
                  PROT_READ | PROT_WRITE, kReserve);
  if (!room.ok()) return room.status();
  frames_end_ = *room + kFrameRoom;
  const uint64_t base = frames_end_;
  const absl::StatusOr<PassedDescriptor> file = OpenLaneFile(*room);
  if (!file.ok()) return file.status();
  const absl::StatusOr<uint64_t> lanes =
      Map("mapping the lane file", base + shadows_bytes, lane_->size(), PROT_READ | PROT_WRITE,
          MAP_SHARED | MAP_FIXED, static_cast<int64_t>(file->number));
  const absl::Status closed = ClosePassed(process_, *file);
  if (!lanes.ok()) return lanes.status();
  if (!closed.ok()) return closed;
  // No trace of how the file came.
  const std::vector<uint8_t> zeros(std::max(lane_->path().size() + 1, kPassScratchBytes));
  absl::Status status = process_.Write(*room, zeros);
  if (status.ok()) {
    status = process_
                 .SystemCall("keeping lanes out of core dumps", SYS_madvise,
                             {*room, kFrameRoom + shadows_bytes + lane_->size(), kDontDump})
                 .status();
  }
  if (status.ok()) {
    // One entry in a huge page would cost the time and memory of the whole. EINVAL: a kernel
    // without huge pages.
    process_
        .SystemCall("keeping shadow stacks in small pages", SYS_madvise,
                    {base, shadows_bytes, MADV_NOHUGEPAGE})
        .status()
        .IgnoreError();
  }
  state_.header = *lanes;
  state_.slots = *lanes + layout.header_bytes;
  state_.slot_bytes = layout.slot_bytes;
  state_.shadows = base;
  state_.drops_offset = layout.drops_offset;
  state_.drops_bytes = RoundUp(lane_->functions_in_use() * sizeof(uint64_t));
  state_.shadow_offset = layout.shadow_offset;
  state_.ring_offset = layout.ring_offset;
  state_.ring_bytes = layout.ring_bytes;
  state_.shadow_entries = layout.shadow_entries;
  state_.slot_count = layout.slot_count;
  return status;
}

// Writing from outside fills the process's page tables, so that a thread's registration and first
// calls meet no page fault.
absl::Status ProcessMemory::TouchSlots() {
  absl::Status status;
  for (uint64_t slot = 0; slot < lane_->prepared_slots() && status.ok(); ++slot) {
    const uint64_t base = state_.slots + slot * state_.slot_bytes;
    agent::ShadowEntry root = {};
    root.slot = agent::kRootSlot;
    status = process_.Write(base, AsBytes(lane_->control(static_cast<uint32_t>(slot))));
    if (status.ok()) {
      status = process_.Write(state_.shadows + slot * state_.slot_bytes, AsBytes(root));
    }
    if (status.ok()) {
      status = process_.Write(base + state_.shadow_offset, AsBytes(lane::OpenCallEntry{}));
    }
    if (status.ok()) status = process_.Write(base + state_.ring_offset, AsBytes(uint64_t{0}));
  }
  return status;
}

absl::Status ProcessMemory::MapBlocks() {
  const uint64_t bytes = RoundUp(agent::BlockAreaBytes(lane_->layout().slot_count));
  const absl::StatusOr<uint64_t> blocks =
      MapAnywhere("mapping thread blocks", bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  if (!blocks.ok()) return blocks.status();
  state_.blocks = *blocks;
  agent::BlockArea area = {};
  area.alive = 1;
  agent::ThreadBlock unregistered = {};
  unregistered.owner = ~uint64_t{0};
  absl::Status status = process_.Write(*blocks, AsBytes(area));
  for (uint64_t slot = 0; slot < state_.slot_count && status.ok(); ++slot) {
    agent::ThreadBlock block = {};
    if (slot < lane_->prepared_slots()) block.control = state_.slots + slot * state_.slot_bytes;
    status =
        process_.Write(agent::BlockAddress(*blocks, agent::kFirstSlotBlock + slot), AsBytes(block));
  }
  if (status.ok()) {
    status = process_.Write(agent::BlockAddress(*blocks, agent::kUnregisteredBlock),
                            AsBytes(unregistered));
  }
  agent::ThreadBlock foreign = unregistered;
  foreign.kind = agent::kForeign;
  if (status.ok()) status = process_.Write(foreign_block(), AsBytes(foreign));
  if (status.ok()) {
    status =
        process_
            .SystemCall("wiping thread blocks on fork", SYS_madvise, {*blocks, bytes, kWipeOnFork})
            .status();
  }
  return status;
}

absl::Status ProcessMemory::FindMainStack() {
  const absl::StatusOr<inject::MemoryMap> map = inject::MemoryMap::Read(process_.pid());
  if (!map.ok()) return map.status();
  struct rlimit limit = {};
  prlimit(process_.pid(), RLIMIT_STACK, nullptr, &limit);
  for (const inject::Mapping& mapping : map->mappings()) {
    if (mapping.path != "[stack]") continue;
    state_.main_thread_stack_high = mapping.high;
    state_.main_thread_stack_low = mapping.high - std::min<uint64_t>(limit.rlim_cur, kMaxMainStack);
  }
  return absl::OkStatus();
}

absl::Status ProcessMemory::SetFilter() {
  if (lane_->Has(lane::kCoarseClock)) {
    state_.clock_line = state_.header + offsetof(lane::FileHeader, clock_ticks);
  }
  state_.filtered_offset = lane_->layout().filtered_offset;
  state_.min_duration_ticks = filter_.min_duration_ticks;
  state_.limits_calls = filter_.limits_calls() ? 1 : 0;
  state_.max_depth = filter_.max_depth;
  for (const std::string& glob : filter_.thread_names) {
    if (state_.thread_glob_count == agent::kMaxThreadGlobs ||
        glob.size() >= agent::kMaxThreadGlobBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("thread name '", glob, "': use at most ", agent::kMaxThreadGlobs,
                       " of at most ", agent::kMaxThreadGlobBytes - 1, " characters"));
    }
    memcpy(state_.thread_globs[state_.thread_glob_count++], glob.data(), glob.size());
  }
  return absl::OkStatus();
}

absl::Status ProcessMemory::MapAgent() {
  const absl::Span<const uint8_t> image = agent::ImageBytes();
  const uint64_t image_bytes = RoundUp(image.size());
  const uint64_t bytes = image_bytes + RoundUp(sizeof(agent::AgentState));
  const absl::StatusOr<uint64_t> base =
      MapAnywhere("mapping the agent", bytes, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS);
  if (!base.ok()) return base.status();
  image_ = *base;
  state_address_ = *base + image_bytes;
  return process_.Write(image_, image);
}

absl::StatusOr<RegionSpace> ProcessMemory::MapRegion(uint64_t low, uint64_t high, uint64_t bytes) {
  const absl::StatusOr<uint64_t> address = MapInGap(
      "mapping stubs",
      [=](const inject::MemoryMap& map) { return map.FindGapNear(low, high, bytes); }, bytes,
      PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, code_);
  if (!address.ok()) return address.status();
  return code_.back();
}

absl::Status ProcessMemory::AddRegion(const agent::Region& region) {
  if (state_.region_count == agent::kMaxRegions) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", agent::kMaxRegions, " modules with hooks"));
  }
  const uint64_t index = state_.region_count++;
  state_.regions[index] = region;
  if (!active_) return absl::OkStatus();
  // The count last: the agent looks at as many as it says.
  absl::Status status =
      process_.Write(state_address_ + offsetof(agent::AgentState, regions) + index * sizeof(region),
                     AsBytes(region));
  if (status.ok()) {
    status = process_.Write(state_address_ + offsetof(agent::AgentState, region_count),
                            AsBytes(state_.region_count));
  }
  return status;
}

absl::Status ProcessMemory::Activate() {
  const absl::Status status = process_.Write(state_address_, AsBytes(state_));
  if (!status.ok()) return status;
  active_ = true;
  return absl::OkStatus();
}

absl::Status ProcessMemory::Unmap() {
  active_ = false;
  // Not told: what is there is compared all the same.
  journal_.SetLeaving().IgnoreError();
  for (std::vector<RegionSpace>* spaces : {&code_, &data_}) {
    while (!spaces->empty()) {
      const RegionSpace& last = spaces->back();
      if (frames_end_ - last.address <= last.bytes) frames_end_ = 0;
      const absl::Status status =
          process_.SystemCall("unmapping hooks", SYS_munmap, {last.address, last.bytes}).status();
      if (!status.ok()) return status;
      spaces->pop_back();
    }
  }
  return absl::OkStatus();
}

absl::Status ProcessMemory::Adopt(const JournalContent& journal) {
  const absl::StatusOr<std::map<uint64_t, JournalMemory>> left =
      FindLeftMemory(process_.pid(), journal);
  if (!left.ok()) return left.status();
  for (const auto& [address, memory] : *left)
    (memory.kind == MemoryKind::kCode ? code_ : data_).push_back({address, memory.bytes});
  stub_return_ = static_cast<uint32_t>(journal.stub_return);
  // Text comes before anything leads there, and memory is unmapped only when nothing does any more.
  reachable_ = journal.agent_version != 0 && !journal.text.empty() && !journal.leaves;
  if (journal.frames && left->count(journal.lanes) != 0) frames_end_ = journal.lanes + kFrameRoom;
  if (!reachable_) return absl::OkStatus();
  image_ = journal.image;
  state_address_ = journal.state;
  agent::AgentState state;
  const absl::Status read = process_.Read(
      state_address_, absl::MakeSpan(reinterpret_cast<uint8_t*>(&state), sizeof(state)));
  if (!read.ok()) return read;
  if (state.slot_count <= lane::kMaxThreads && state.region_count <= agent::kMaxRegions)
    state_ = state;
  return absl::OkStatus();
}

std::vector<std::string> ProcessMemory::thread_names() const {
  std::vector<std::string> names;
  for (uint64_t i = 0; i < std::min<uint64_t>(state_.thread_glob_count, agent::kMaxThreadGlobs);
       ++i)
    names.emplace_back(state_.thread_globs[i],
                       strnlen(state_.thread_globs[i], agent::kMaxThreadGlobBytes));
  return names;
}

uint32_t ProcessMemory::stub_return() const {
  return stub_return_ != 0 ? stub_return_ : stub::PlacesOf(geometry()).returned;
}

stub::LaneGeometry ProcessMemory::geometry() const {
  const uint64_t distance = state_.slots + state_.shadow_offset - state_.shadows;
  // lane::LaneFile::Create makes no larger lanes.
  if (distance > INT32_MAX) std::abort();
  stub::LaneGeometry geometry;
  geometry.shared_distance = static_cast<int32_t>(distance);
  geometry.ring_offset = static_cast<uint32_t>(state_.ring_offset);
  geometry.ring_bytes = static_cast<uint32_t>(state_.ring_bytes);
  geometry.clock_line = state_.clock_line;
  geometry.min_duration_ticks = state_.min_duration_ticks;
  geometry.limits_calls = state_.limits_calls != 0;
  geometry.filtered_offset = static_cast<uint32_t>(state_.filtered_offset);
  return geometry;
}

}  // namespace flightrec::target
