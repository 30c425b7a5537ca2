// The memory the tracer adds to a process it traces: agent, lanes, shadow
// stacks and thread blocks, and regions of stubs near the modules.
//
// For the thread that traces the process; while it runs, too. Owns nothing of it: what is mapped
// stays until Unmap or until the process ends. Patches no code and starts no thread.
#ifndef SERVICES_TRACER_TARGET_PROCESS_MEMORY_H_
#define SERVICES_TRACER_TARGET_PROCESS_MEMORY_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/tracer/agent/state.h"
#include "services/tracer/inject/memory_map.h"
#include "services/tracer/inject/remote_process.h"
#include "services/tracer/lane/lane_file.h"
#include "services/tracer/stub/stub.h"
#include "services/tracer/target/call_filter.h"
#include "services/tracer/target/descriptor_passing.h"
#include "services/tracer/target/hook_journal.h"
#include "services/tracer/target/thread_control.h"

namespace flightrec::target {

// What one system call mapped.
struct RegionSpace {
  uint64_t address = 0;
  uint64_t bytes = 0;
};

// How a process gets at its lane file: by its path, or, where that may mean nothing, by a
// descriptor that is passed to it, which containers' filters allow to CAP_SYS_PTRACE only.
enum class LaneAccess { kByPath, kPassed };

class ProcessMemory {
 public:
  // All must outlive it. `lane` has the features that `filter` needs; null: only for Adopt.
  ProcessMemory(inject::RemoteProcess& process, HookJournal& journal, const lane::LaneFile* lane,
                const CallFilter& filter, LaneAccess access)
      : process_(process), journal_(journal), lane_(lane), filter_(filter), access_(access) {}

  // Maps lanes, shadow stacks, thread blocks and the agent.
  absl::Status Prepare();
  // In place of Prepare: what another tracer has mapped and is still there, of an agent of this
  // version. Afterwards it can be unmapped only.
  absl::Status Adopt(const JournalContent& journal);

  // Readable and executable room near [low, high); written through the tracer.
  absl::StatusOr<RegionSpace> MapRegion(uint64_t low, uint64_t high, uint64_t bytes);

  // The unwinder is told about stubs added this way. RESOURCE_EXHAUSTED beyond agent::kMaxRegions.
  absl::Status AddRegion(const agent::Region& region);

  // Before Activate: where the loader keeps its state (target/loader_events.h).
  void SetLoaderState(uint64_t address) { state_.loader_state = address; }

  // Last: the agent's state becomes what was added. Threads may have unregistered_block() as their
  // gs base from then on.
  absl::Status Activate();

  // Takes everything away again, also after an error of Prepare. No thread may be in code of
  // regions or of the agent, or come back to it.
  absl::Status Unmap();

  stub::LaneGeometry geometry() const;
  // In a stub, where its function returns to.
  uint32_t stub_return() const;
  uint64_t agent_state() const { return state_address_; }
  // As in CallSite.
  uint64_t frames_end() const { return frames_end_; }
  const agent::AgentState& state() const { return state_; }
  // Of the agent's filter.
  std::vector<std::string> thread_names() const;
  uint64_t unregistered_block() const {
    return agent::BlockAddress(state_.blocks, agent::kUnregisteredBlock);
  }
  // False: nothing in the process has ever led there, or does any more.
  bool reachable() const { return reachable_; }
  // Stubs, thunks, answers and notices.
  const std::vector<RegionSpace>& code() const { return code_; }
  // The agent's code.
  RegionSpace image() const { return {image_, state_address_ - image_}; }
  uint64_t foreign_block() const {
    return agent::BlockAddress(state_.blocks, agent::ForeignBlock(state_.slot_count));
  }
  // Address of the agent's function with this offset in the image.
  uint64_t AgentFunction(uint32_t offset) const { return image_ + offset; }

 private:
  absl::StatusOr<uint64_t> Map(const char* what, uint64_t address, uint64_t bytes, int protection,
                               int flags, int64_t file = -1);
  using FindGap = std::function<absl::StatusOr<uint64_t>(const inject::MemoryMap& map)>;
  // Where nothing is; remembered in `spaces` and on disk.
  absl::StatusOr<uint64_t> MapInGap(const char* what, const FindGap& find, uint64_t bytes,
                                    int protection, int flags, std::vector<RegionSpace>& spaces);
  absl::StatusOr<uint64_t> MapAnywhere(const char* what, uint64_t bytes, int protection, int flags);
  absl::Status MapLanes();
  // The process's own view of what lane::LaneFile::Prepare gave memory to.
  absl::Status TouchSlots();
  absl::Status MapBlocks();
  absl::Status MapAgent();
  absl::StatusOr<PassedDescriptor> OpenLaneFile(uint64_t scratch);
  absl::StatusOr<PassedDescriptor> OpenLaneByPath(uint64_t scratch);
  absl::Status FindMainStack();
  absl::Status SetFilter();

  inject::RemoteProcess& process_;
  HookJournal& journal_;
  const lane::LaneFile* const lane_;
  const CallFilter& filter_;
  const LaneAccess access_;
  std::vector<RegionSpace> data_;
  std::vector<RegionSpace> code_;
  agent::AgentState state_ = {};
  uint64_t image_ = 0;
  uint64_t frames_end_ = 0;
  uint64_t state_address_ = 0;
  uint32_t stub_return_ = 0;  // of an adopted agent
  bool active_ = false;
  bool reachable_ = true;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_PROCESS_MEMORY_H_
