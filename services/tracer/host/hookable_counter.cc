#include "services/tracer/host/hookable_counter.h"

#include <sys/stat.h>

#include <numeric>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/tracer/patch/planner.h"
#include "services/tracer/symbols/module_reader.h"

namespace flightrec::host {

absl::StatusOr<HookableShare> CountHookable(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && info.st_size > static_cast<off_t>(kMaxCountedBytes)) {
    return absl::ResourceExhaustedError(absl::StrCat(path, " has ", info.st_size, " bytes; up to ",
                                                     kMaxCountedBytes, " are counted"));
  }
  const absl::StatusOr<symbols::Module> module = symbols::ReadModule(path);
  if (!module.ok()) return module.status();
  std::vector<uint32_t> functions(module->functions.size());
  std::iota(functions.begin(), functions.end(), 0);
  const patch::Planner planner(*module);
  return HookableShare{functions.size(), planner.Plan(functions).sites.size()};
}

HookableCounter::HookableCounter(Count count)
    : count_(std::move(count)), worker_([this] { Work(); }) {}

HookableCounter::~HookableCounter() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  worker_.join();
}

void HookableCounter::Request(const std::string& build, const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (builds_.contains(build)) return;
  if (builds_.size() >= kMaxBuilds) {
    builds_.clear();
    waiting_.clear();
  }
  builds_.emplace(build, Entry());
  waiting_.emplace_back(build, path);
}

absl::optional<HookableShare> HookableCounter::Await(const std::string& build,
                                                     absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  const auto settled = [this, &build]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = builds_.find(build);
    return found == builds_.end() || found->second.counted;
  };
  mutex_.AwaitWithDeadline(absl::Condition(&settled), deadline);
  const auto found = builds_.find(build);
  return found == builds_.end() ? absl::nullopt : found->second.share;
}

void HookableCounter::Work() {
  absl::MutexLock lock(&mutex_);
  const auto wanted = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stop_ || !waiting_.empty();
  };
  while (true) {
    mutex_.Await(absl::Condition(&wanted));
    if (stop_) return;
    const std::pair<std::string, std::string> next = std::move(waiting_.front());
    waiting_.pop_front();
    mutex_.Unlock();
    const absl::StatusOr<HookableShare> share = count_(next.second);
    mutex_.Lock();
    // A file that has gone may be asked for again under another path.
    if (absl::IsNotFound(share.status())) {
      builds_.erase(next.first);
      continue;
    }
    Entry& entry = builds_[next.first];
    entry.counted = true;
    if (share.ok()) entry.share = *share;
  }
}

std::string BuildOf(const ElfKind& kind, const std::string& path) {
  if (!kind.build_id.empty()) {
    return absl::BytesToHexString(absl::string_view(
        reinterpret_cast<const char*>(kind.build_id.data()), kind.build_id.size()));
  }
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return path;
  return absl::StrCat(info.st_dev, ":", info.st_ino, ":", info.st_size, ":", info.st_mtim.tv_sec,
                      ":", info.st_mtim.tv_nsec);
}

}  // namespace flightrec::host
