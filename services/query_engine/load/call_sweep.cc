#include "services/query_engine/load/call_sweep.h"

#include <cstddef>

#include "absl/container/flat_hash_map.h"
#include "common/path/path.h"

namespace flightrec::query_engine {
namespace {

class Sweep {
 public:
  Sweep(const PathTable& paths, std::vector<SweptCall>& calls)
      : paths_(paths), calls_(calls), place_of_path_(paths.size()) {}

  void Run() {
    for (size_t i = 0; i < calls_.size(); ++i) Enter(i);
  }

 private:
  void Enter(size_t index) {
    SweptCall& call = calls_[index];
    while (!stack_.empty() && Top().end_ns < call.start_ns) Pop();
    call.self_ns = call.is_open() ? 0 : call.end_ns - call.start_ns;
    call.parent_ordinal = PopToParent(call) ? Top().ordinal : 0;
    if (!stack_.empty() && Encloses(Top(), call) && !Top().is_open() && !call.is_open()) {
      Top().self_ns -= call.end_ns - call.start_ns;
    }
    uint32_t& active = active_[paths_[call.path].function_id];
    call.outermost = active++ == 0;
    place_of_path_[call.path] = stack_.size();
    stack_.push_back(index);
  }

  // What stands above the parent was left before `call` was entered, whatever
  // the clock says about equal times. When the parent was lost nothing is
  // popped and the result is false: what encloses the call is on top then.
  bool PopToParent(const SweptCall& call) {
    const PathTable::Entry& path = paths_[call.path];
    if (path.parent_path_id == kRootPath) {
      while (!stack_.empty()) Pop();
      return false;
    }
    if (path.parent == PathTable::kNone) return false;
    const size_t place = place_of_path_[path.parent];
    if (place >= stack_.size()) return false;
    const SweptCall& parent = calls_[stack_[place]];
    if (parent.path != path.parent || !Encloses(parent, call)) return false;
    while (stack_.size() > place + 1) Pop();
    return true;
  }

  // `outer` was entered first.
  static bool Encloses(const SweptCall& outer, const SweptCall& inner) {
    return outer.end_ns >= inner.end_ns;
  }

  SweptCall& Top() { return calls_[stack_.back()]; }

  void Pop() {
    --active_[paths_[Top().path].function_id];
    stack_.pop_back();
  }

  const PathTable& paths_;
  std::vector<SweptCall>& calls_;
  // Indices of the calls entered and not left, outermost first.
  std::vector<size_t> stack_;
  // Where on the stack a path was seen last; what stands there now may be
  // another one.
  std::vector<size_t> place_of_path_;
  // How many calls of a function are on the stack.
  absl::flat_hash_map<uint64_t, uint32_t> active_;
};

}  // namespace

void SweepThread(const PathTable& paths, std::vector<SweptCall>& calls) {
  Sweep(paths, calls).Run();
}

}  // namespace flightrec::query_engine
