#include "services/tracer/target/launched_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/match.h"
#include "common/clock/calibration.h"
#include "services/tracer/patch/planner.h"
#include "services/tracer/symbols/module_reader.h"

namespace flightrec::target {
namespace {

constexpr size_t kBatch = 4096;
constexpr uint64_t kIdStep = 0x9E3779B97F4A7C15u;

std::string ReadAll(int file) {
  std::string text(static_cast<size_t>(lseek(file, 0, SEEK_END)), '\0');
  const ssize_t count = pread(file, &text[0], text.size(), 0);
  text.resize(count > 0 ? static_cast<size_t>(count) : 0);
  return text;
}

}  // namespace

LaunchedProgram::~LaunchedProgram() {
  CloseInput();
  if (output_ >= 0) close(output_);
  if (error_output_ >= 0) close(error_output_);
  filter_.reset();
  reader_.reset();
  process_.reset();
  if (!options_.lane_directory.empty()) rmdir(options_.lane_directory.c_str());
}

bool LaunchedProgram::Start(const std::vector<std::string>& arguments) {
  auto module = symbols::ReadModule(options_.program);
  EXPECT_TRUE(module.ok()) << module.status();
  if (!module.ok()) return false;
  options_.module = std::make_shared<const symbols::Module>(*std::move(module));
  const symbols::Module& read = *options_.module;
  std::vector<uint32_t> all;
  for (uint32_t i = 0; i < read.functions.size(); ++i) {
    if (!absl::StartsWith(read.functions[i].symbol, "Unhooked")) all.push_back(i);
  }
  for (const patch::Site& site : patch::Planner(read).Plan(all).sites) {
    symbols_.push_back(read.functions[site.function].symbol);
    hooks_.push_back({site, kIdStep * symbols_.size()});
  }
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  input_ = ends[1];
  output_ = memfd_create("output", MFD_CLOEXEC);
  error_output_ = memfd_create("errors", MFD_CLOEXEC);
  options_.stdio = {ends[0], output_, error_output_};
  options_.argv = {options_.program};
  options_.argv.insert(options_.argv.end(), arguments.begin(), arguments.end());
  options_.plan = [this](const std::vector<MappedModule>& modules, const auto&) {
    base_ = modules.front().base;
    for (uint32_t i = 0; i < hooks_.size(); ++i) hooks_[i].function_index = i;
    return std::vector<ModuleHooks>{{options_.module, base_, hooks_}};
  };
  // Of its own: tests that run at once, in process namespaces of their own, may have the same pids.
  std::string folder = "/dev/shm/flightrec_test_XXXXXX";
  EXPECT_NE(mkdtemp(folder.data()), nullptr);
  options_.lane_directory = folder;
  auto process = TracedProcess::Launch(options_);
  close(ends[0]);
  EXPECT_TRUE(process.ok()) << process.status();
  if (!process.ok()) return false;
  process_ = *std::move(process);
  reader_ = std::make_unique<lane::LaneReader>(process_->lane());
  const auto calibration = clock::Calibrate();
  EXPECT_TRUE(calibration.ok()) << calibration.status();
  if (!calibration.ok()) return false;
  watch_ = std::make_unique<ThreadWatch>(process_->pid(), *calibration);
  filter_ = std::make_unique<ThreadFilter>(process_->pid(), options_.filter.thread_names, *reader_);
  return true;
}

HookChangeResult LaunchedProgram::ChangeHooks(const std::vector<std::string>& hook,
                                              const std::vector<std::string>& unhook) {
  HookChange change;
  change.add = {{options_.module, base_, {}}};
  for (const std::string& symbol : hook) change.add[0].hooks.push_back(hooks_[IndexOf(symbol)]);
  for (const std::string& symbol : unhook) change.remove.push_back(IndexOf(symbol));
  const auto changed = process_->ChangeHooks(change);
  EXPECT_TRUE(changed.ok()) << changed.status();
  return changed.value_or(HookChangeResult());
}

void LaunchedProgram::SendByte() { EXPECT_EQ(write(input_, "x", 1), 1); }

void LaunchedProgram::CloseInput() {
  if (input_ >= 0) close(input_);
  input_ = -1;
}

void LaunchedProgram::TakeSlot(const lane::LaneThread& thread) {
  std::vector<lane::CallRecord> batch(kBatch);
  while (const size_t count = reader_->Drain(thread.slot, absl::MakeSpan(batch))) {
    for (size_t i = 0; i < count; ++i) {
      ASSERT_LT(batch[i].function_index, symbols_.size());
      ++counts_[symbols_[batch[i].function_index]].recorded;
      records_.push_back(batch[i]);
    }
  }
  const lane::Losses losses = reader_->TakeLosses(thread.slot);
  for (const lane::FunctionLoss& loss : losses.functions) {
    counts_[symbols_[loss.function_index]].dropped += loss.calls;
  }
  for (const lane::FunctionLoss& loss : losses.filtered) {
    counts_[symbols_[loss.function_index]].filtered += loss.calls;
  }
}

void LaunchedProgram::TakeOpenCalls(const lane::LaneThread& thread) {
  for (const lane::OpenCall& call : reader_->OpenCalls(thread.slot)) {
    ++counts_[symbols_[call.function_index]].open;
  }
}

size_t LaunchedProgram::DrainOnce() {
  const std::vector<lane::LaneThread> threads = reader_->Threads();
  filter_->Apply(threads);
  const std::vector<EndedThread> ended = watch_->FindEnded(threads, reader_->RefusedTids());
  for (const lane::LaneThread& thread : threads) TakeSlot(thread);
  size_t released = 0;
  for (const EndedThread& end : ended) {
    if (!end.releasable) continue;
    TakeOpenCalls(end.thread);
    reader_->Release(end.thread.slot);
    ++released;
  }
  threads_seen_ += released;
  return released;
}

Outcome LaunchedProgram::RunToEnd() {
  CloseInput();
  absl::optional<Outcome> outcome;
  while (!outcome.has_value()) {
    outcome = process_->WaitFor(absl::Microseconds(200));
    if (!outcome.has_value()) DrainOnce();
  }
  return RunToEndUndrained();
}

Outcome LaunchedProgram::RunToEndUndrained() {
  CloseInput();
  const Outcome outcome = process_->Wait();
  const std::vector<lane::LaneThread> threads = reader_->Threads();
  threads_seen_ += threads.size();
  for (const lane::LaneThread& thread : threads) {
    TakeSlot(thread);
    TakeOpenCalls(thread);
  }
  return outcome;
}

CallCounts LaunchedProgram::counts(const std::string& symbol) const {
  const auto found = counts_.find(symbol);
  return found == counts_.end() ? CallCounts() : found->second;
}

uint32_t LaunchedProgram::IndexOf(const std::string& symbol) const {
  for (uint32_t i = 0; i < symbols_.size(); ++i) {
    if (symbols_[i] == symbol) return i;
  }
  ADD_FAILURE() << symbol << " is not hooked";
  return 0;
}

std::string LaunchedProgram::output() const { return ReadAll(output_); }
std::string LaunchedProgram::error_output() const { return ReadAll(error_output_); }

}  // namespace flightrec::target
