#include "services/backend/store/commit_watch.h"

#include <utility>

namespace flightrec::backend {

CommitWatch::CommitWatch() : thread_([this] { Run(); }) {}

CommitWatch::~CommitWatch() {
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [id, follower] : followers_) {
      if (follower.wake) due_.push_back(std::exchange(follower.wake, nullptr));
    }
    stopping_ = true;
  }
  thread_.join();
}

uint64_t CommitWatch::Follow(std::string recording_key) {
  absl::MutexLock lock(&mutex_);
  const uint64_t id = ++last_follower_;
  by_recording_[recording_key].insert(id);
  followers_[id].recording_key = std::move(recording_key);
  return id;
}

void CommitWatch::Unfollow(uint64_t follower) {
  absl::MutexLock lock(&mutex_);
  const auto it = followers_.find(follower);
  const auto recording = by_recording_.find(it->second.recording_key);
  recording->second.erase(follower);
  if (recording->second.empty()) by_recording_.erase(recording);
  followers_.erase(it);
}

uint64_t CommitWatch::LastPosition(uint64_t follower) {
  absl::MutexLock lock(&mutex_);
  Follower& of = followers_.at(follower);
  of.news = false;
  return of.last_position;
}

CommitWatch::Wait CommitWatch::WaitForNews(uint64_t follower, Wake wake) {
  absl::MutexLock lock(&mutex_);
  Follower& of = followers_.at(follower);
  if (of.closed) return Wait::kClosed;
  if (of.news) return Wait::kNews;
  of.wake = std::move(wake);
  return Wait::kWaiting;
}

bool CommitWatch::Close(uint64_t follower) {
  absl::MutexLock lock(&mutex_);
  Follower& of = followers_.at(follower);
  of.closed = true;
  return std::exchange(of.wake, nullptr) != nullptr;
}

void CommitWatch::SetObserver(Observer observer) {
  absl::MutexLock lock(&mutex_);
  observer_ = std::move(observer);
}

void CommitWatch::Notify(const CommittedPositions& positions) {
  absl::MutexLock lock(&mutex_);
  if (observer_) observer_(positions);
  if (followers_.empty()) return;
  for (const auto& [key, position] : positions) {
    const auto recording = by_recording_.find(key);
    if (recording == by_recording_.end()) continue;
    for (const uint64_t id : recording->second) {
      Follower& follower = followers_.at(id);
      follower.last_position = position;
      follower.news = true;
      if (follower.wake) due_.push_back(std::exchange(follower.wake, nullptr));
    }
  }
}

void CommitWatch::Run() {
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !due_.empty();
  };
  while (true) {
    std::deque<Wake> due;
    {
      absl::MutexLock lock(&mutex_, absl::Condition(&has_work));
      if (due_.empty()) return;
      due.swap(due_);
    }
    for (const Wake& wake : due) wake();
  }
}

}  // namespace flightrec::backend
