#include "services/tracer/agent/stack_bounds.h"

#include "services/tracer/agent/system_call.h"

namespace flightrec::agent {
namespace {

constexpr uint64_t kAtCurrentDirectory = static_cast<uint64_t>(-100);
constexpr uint64_t kReadOnlyCloseOnExec = 02000000;

// Finds the line "low-high perms ..." that contains an address, fed bytewise.
class MapsScanner {
 public:
  explicit MapsScanner(uint64_t address) : address_(address) {}

  // True once the range that contains the address has been read.
  bool Feed(char c) {
    if (c == '\n') {
      field_ = 0;
      value_ = 0;
      return false;
    }
    if (field_ > 1) return false;
    if (c == '-' || c == ' ') {
      if (field_ == 0) low_ = value_;
      const bool found = field_ == 1 && low_ <= address_ && address_ < value_;
      if (field_ == 1) high_ = value_;
      ++field_;
      value_ = 0;
      return found;
    }
    value_ = value_ * 16 + static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    return false;
  }

  StackBounds range() const { return {low_, high_}; }

 private:
  uint64_t address_;
  uint64_t value_ = 0;
  uint64_t low_ = 0;
  uint64_t high_ = 0;
  int field_ = 0;
};

}  // namespace

StackBounds FindStackBounds(uint64_t address, uint64_t thread_pointer) {
  // On the stack: the agent has no data section.
  const char path[] = {'/', 'p', 'r', 'o', 'c', '/', 's', 'e',
                       'l', 'f', '/', 'm', 'a', 'p', 's', 0};
  const int64_t file = SystemCall(kSysOpenat, kAtCurrentDirectory, reinterpret_cast<uint64_t>(path),
                                  kReadOnlyCloseOnExec);
  if (file < 0) return {0, 0};
  MapsScanner scanner(address);
  bool found = false;
  char buffer[512];
  while (!found) {
    const int64_t count = SystemCall(kSysRead, static_cast<uint64_t>(file),
                                     reinterpret_cast<uint64_t>(buffer), sizeof(buffer));
    if (count <= 0) break;
    for (int64_t i = 0; i < count && !found; ++i) {
      found = scanner.Feed(buffer[i]);
    }
  }
  SystemCall(kSysClose, static_cast<uint64_t>(file));
  if (!found) return {0, 0};
  StackBounds bounds = scanner.range();
  // A neighbour above the stack may be of the same mapping; what lies above
  // the thread's control block is not its stack.
  if (bounds.low < thread_pointer && thread_pointer < bounds.high && address < thread_pointer) {
    bounds.high = thread_pointer;
  }
  return bounds;
}

}  // namespace flightrec::agent
