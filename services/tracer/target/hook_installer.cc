#include "services/tracer/target/hook_installer.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "services/tracer/agent/agent_image.h"
#include "services/tracer/patch/planner.h"
#include "services/tracer/patch/relocate.h"
#include "services/tracer/target/process_starts.h"

namespace flightrec::target {
namespace {

// Room for the code of a notice and the relocated start of its function.
constexpr size_t kNoticeBytes = 512;
constexpr uint8_t kTrap = 0xCC;
// A program that loads its unwinder again and again gets it at few addresses.
constexpr size_t kMaxQuestions = 64;

// Code of a module in a process.
std::pair<uint64_t, uint64_t> TextRange(const symbols::Module& module, uint64_t load_bias) {
  uint64_t low = ~uint64_t{0};
  uint64_t high = 0;
  for (const symbols::Segment& segment : module.segments) {
    low = std::min(low, segment.vaddr + load_bias);
    high = std::max(high, segment.vaddr + segment.memory_size + load_bias);
  }
  return {low, high};
}

// Whether `present` is what a tracer has written there, wholly or, when it was killed meanwhile, in
// part.
bool IsChanged(const std::vector<uint8_t>& present, const JournalPlace& place) {
  for (size_t i = 0; i < present.size(); ++i) {
    const bool known =
        present[i] == place.original[i] ||
        std::any_of(place.changed.begin(), place.changed.end(),
                    [&](const std::vector<uint8_t>& bytes) { return bytes[i] == present[i]; });
    if (!known) return false;
  }
  return present != place.original;
}

}  // namespace

void HookInstaller::Adopt(const std::map<uint64_t, JournalPlace>& text) {
  for (const auto& [address, place] : text) {
    std::vector<uint8_t> present(place.original.size());
    // Code that was unmapped, or that somebody else has changed since.
    if (!process_.Read(address, absl::MakeSpan(present)).ok() || !IsChanged(present, place))
      continue;
    changed_[address] = {place.original, present};
    if (place.lookup) questions_[address] = {};
  }
}

absl::StatusOr<RegionBuilder*> HookInstaller::RegionFor(const symbols::Module& module,
                                                        uint64_t load_bias, size_t hooks) {
  for (const std::unique_ptr<ModuleRegion>& known : regions_) {
    if (known->build_id == module.build_id && known->load_bias == load_bias &&
        known->builder.room() > 0)
      return &known->builder;
  }
  const auto [low, high] = TextRange(module, load_bias);
  // Room for every function of the module, so that it needs no second region: memory is taken only
  // by what is used.
  size_t stubs = std::max(hooks, module.functions.size());
  const stub::LaneGeometry geometry = memory_.geometry();
  absl::StatusOr<RegionSpace> space =
      memory_.MapRegion(low, high, RegionBuilder::BytesFor(stubs, geometry));
  if (!space.ok() && hooks < stubs) {
    stubs = hooks;
    space = memory_.MapRegion(low, high, RegionBuilder::BytesFor(stubs, geometry));
  }
  if (!space.ok()) return space.status();
  const agent::ImageHeader image = agent::GetImageHeader();
  RegionBuilder builder(space->address, stubs, memory_.agent_state(),
                        memory_.AgentFunction(image.slow_entry),
                        memory_.AgentFunction(image.slow_exit), memory_.geometry());
  const absl::Status added = memory_.AddRegion(builder.region());
  if (!added.ok()) return added;
  regions_.push_back(
      std::make_unique<ModuleRegion>(ModuleRegion{module.build_id, load_bias, std::move(builder)}));
  return &regions_.back()->builder;
}

void HookInstaller::Prepare(uint64_t address, Installed& hook, bool live) {
  TextChange change;
  change.address = address;
  change.expected = live ? hook.unhooked : hook.jump;
  change.bytes = live ? hook.jump
                      : std::vector<uint8_t>(hook.unhooked.begin(),
                                             hook.unhooked.begin() + patch::kPatchBytes);
  if (live) {
    change.relocated = hook.stub.relocated;
    change.landmarks = hook.stub.landmarks;
  }
  changes_.push_back(std::move(change));
  change_hooks_.push_back(address);
}

absl::Status HookInstaller::Add(const Hook& hook, uint64_t load_bias, RegionBuilder& region) {
  const uint64_t address = hook.site.address + load_bias;
  Installed& installed = hooks_[address];
  // A stub of the same code at the same place serves again.
  if (installed.function_id == hook.function_id && installed.original == hook.site.displaced &&
      installed.function_index == hook.function_index) {
    if (!installed.live) Prepare(address, installed, /*live=*/true);
    return absl::OkStatus();
  }
  absl::StatusOr<PlacedStub> stub =
      region.AddStub(hook.site, load_bias, hook.function_id, hook.function_index);
  if (!stub.ok()) return stub.status();
  const auto jump = patch::EncodeJump(address, stub->address);
  if (!jump.ok()) return jump.status();
  installed = {hook.function_id,    hook.function_index,
               *std::move(stub),    hook.site.displaced,
               hook.site.displaced, std::vector<uint8_t>(jump->begin(), jump->end()),
               hook.site.sled};
  const auto notice = notices_.find(address);
  if (notice != notices_.end()) {
    absl::Status led = WriteRegion(region);
    if (led.ok()) led = LeadToNotice(address, notice->second, installed);
    if (!led.ok()) return led;
  }
  Prepare(address, installed, /*live=*/true);
  return absl::OkStatus();
}

absl::Status HookInstaller::AddModule(const symbols::Module& module, uint64_t load_bias,
                                      absl::Span<const Hook> hooks) {
  if (hooks.empty()) return absl::OkStatus();
  const absl::StatusOr<RegionBuilder*> region = RegionFor(module, load_bias, hooks.size());
  if (!region.ok()) return region.status();
  for (const Hook& hook : hooks) {
    const absl::Status added = Add(hook, load_bias, **region);
    if (!added.ok()) failures_.push_back({hook.function_index, std::string(added.message())});
  }
  return WriteRegions();
}

absl::Status HookInstaller::WriteRegions() {
  for (const std::unique_ptr<ModuleRegion>& region : regions_) {
    const absl::Status written = WriteRegion(region->builder);
    if (!written.ok()) return written;
  }
  return absl::OkStatus();
}

absl::Status HookInstaller::WriteRegion(RegionBuilder& region) {
  for (const RegionPiece& piece : region.Take()) {
    const absl::Status written = process_.Write(piece.address, piece.bytes);
    if (!written.ok()) return written;
  }
  return absl::OkStatus();
}

absl::Status HookInstaller::LeadToNotice(uint64_t entry, uint64_t notice, Installed& hook) {
  const auto from_stub = patch::EncodeJump(hook.stub.relocated, notice);
  if (!from_stub.ok()) return from_stub.status();
  const auto from_entry = patch::EncodeJump(entry, notice);
  if (!from_entry.ok()) return from_entry.status();
  std::copy(from_entry->begin(), from_entry->end(), hook.unhooked.begin());
  return process_.Write(hook.stub.relocated, *from_stub);
}

absl::Status HookInstaller::AddUnwinder(const symbols::Module& module, uint64_t load_bias) {
  const agent::ImageHeader image = agent::GetImageHeader();
  for (uint32_t i = 0; i < module.functions.size(); ++i) {
    const std::string& symbol = module.functions[i].symbol;
    absl::Status status;
    if (symbol == "_Unwind_Find_FDE" ||
        module.functions[i].kind == symbols::Kind::kUnwinderLookup) {
      status = AddQuestion(module, load_bias, i, image.find_fde, stub::Answer::kFunctionResult);
    } else if (symbol == "_dl_find_object") {
      status = AddQuestion(module, load_bias, i, image.find_object, stub::Answer::kZero);
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status HookInstaller::AddLoaderEvents(const symbols::Module& loader, uint64_t load_bias,
                                            uint64_t function) {
  const int64_t index = loader.FunctionAt(function - load_bias);
  if (index < 0 || loader.functions[static_cast<size_t>(index)].offset != function - load_bias) {
    return absl::NotFoundError(absl::StrCat("no function at ", absl::Hex(function), " of ",
                                            loader.path, " says what is loaded"));
  }
  return AddQuestion(loader, load_bias, static_cast<uint32_t>(index),
                     agent::GetImageHeader().libraries_changed, stub::Answer::kFunctionResult);
}

absl::Status HookInstaller::AddQuestion(const symbols::Module& module, uint64_t load_bias,
                                        uint32_t function, uint32_t agent_function,
                                        stub::Answer answer) {
  const patch::Planner planner(module);
  const auto plan = planner.PlanSite(function, patch::NamePolicy::kAllow);
  if (const auto* refusal = std::get_if<patch::Refusal>(&plan)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the tracer cannot answer for its stubs there: ", module.functions[function].symbol, " of ",
        module.path, ": ", patch::ReasonSentence(refusal->reason), " ", refusal->detail));
  }
  const auto& site = std::get<patch::Site>(plan);
  const uint64_t entry = site.address + load_bias;
  const auto known = questions_.find(entry);
  if (known != questions_.end() && known->second.expected == site.displaced) {
    changes_.push_back(known->second);
    change_hooks_.push_back(0);
    return absl::OkStatus();
  }
  if (questions_.size() == kMaxQuestions) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the program has loaded unwinders at ", kMaxQuestions, " places"));
  }
  const auto [low, high] = TextRange(module, load_bias);
  const absl::StatusOr<RegionSpace> space = memory_.MapRegion(low, high, 4096);
  if (!space.ok()) return space.status();
  std::vector<uint8_t> code = stub::EmitQuestion(space->address, memory_.agent_state(),
                                                 memory_.AgentFunction(agent_function), answer);
  const uint64_t relocated = space->address + code.size();
  absl::StatusOr<patch::RelocatedPrologue> original =
      patch::RelocatePrologue(site, load_bias, relocated);
  if (!original.ok()) return original.status();
  code.insert(code.end(), original->code.begin(), original->code.end());
  absl::Status status = process_.Write(space->address, code);
  const auto jump = patch::EncodeJump(entry, space->address);
  if (status.ok()) status = jump.status();
  if (!status.ok()) return status;
  changes_.push_back({entry, site.displaced, std::vector<uint8_t>(jump->begin(), jump->end()),
                      relocated, std::move(original->landmarks)});
  change_hooks_.push_back(0);
  questions_[entry] = changes_.back();
  return absl::OkStatus();
}

absl::Status HookInstaller::AddNotices(const symbols::Module& module, uint64_t load_bias,
                                       std::vector<std::string>* uncounted) {
  const std::vector<StartPoint> points = FindStartPoints(module);
  if (points.empty()) return absl::OkStatus();
  const auto [low, high] = TextRange(module, load_bias);
  const absl::StatusOr<RegionSpace> space =
      memory_.MapRegion(low, high, points.size() * kNoticeBytes);
  if (!space.ok()) return space.status();
  const patch::Planner planner(module);
  std::vector<uint8_t> code;
  for (size_t i = 0; i < points.size(); ++i) {
    const auto plan = planner.PlanSite(points[i].function, patch::NamePolicy::kAllow);
    const auto* site = std::get_if<patch::Site>(&plan);
    code.resize(i * kNoticeBytes, kTrap);
    if (site == nullptr ||
        !AddNotice(*site, load_bias, points[i].event, space->address + code.size(), &code).ok()) {
      uncounted->push_back(module.functions[points[i].function].symbol);
    }
  }
  return process_.Write(space->address, code);
}

absl::Status HookInstaller::AddNotice(const patch::Site& site, uint64_t load_bias,
                                      agent::ProcessEvent event, uint64_t address,
                                      std::vector<uint8_t>* page) {
  const uint64_t notice = memory_.AgentFunction(agent::GetImageHeader().notice);
  const uint64_t state = memory_.agent_state();
  std::vector<uint8_t> code =
      event == agent::kExecBegins
          ? stub::EmitNoticeAround(address, state, notice, event, agent::kExecFailed)
      : event == agent::kVforks
          ? stub::EmitVforkNotice(address, state, notice, event, memory_.foreign_block())
          : stub::EmitNotice(address, state, notice, event);
  const uint64_t relocated = address + code.size();
  absl::StatusOr<patch::RelocatedPrologue> original =
      patch::RelocatePrologue(site, load_bias, relocated);
  if (!original.ok()) return original.status();
  code.insert(code.end(), original->code.begin(), original->code.end());
  if (code.size() > kNoticeBytes) return absl::ResourceExhaustedError("prologue too long");
  const uint64_t entry = site.address + load_bias;
  const auto hook = hooks_.find(entry);
  if (hook == hooks_.end()) {
    const auto jump = patch::EncodeJump(entry, address);
    if (!jump.ok()) return jump.status();
    changes_.push_back({entry, site.displaced, std::vector<uint8_t>(jump->begin(), jump->end()),
                        relocated, std::move(original->landmarks)});
    change_hooks_.push_back(0);
  } else {
    // A function that is hooked too comes to the notice from its stub.
    const absl::Status led = LeadToNotice(entry, address, hook->second);
    if (!led.ok()) return led;
    // The stub's copy is written over: a thread that stands in the original goes on in this one.
    for (size_t i = 0; i < changes_.size(); ++i) {
      if (change_hooks_[i] != entry) continue;
      changes_[i].relocated = relocated;
      changes_[i].landmarks = original->landmarks;
    }
  }
  notices_[entry] = address;
  page->insert(page->end(), code.begin(), code.end());
  return absl::OkStatus();
}

void HookInstaller::Remove(const absl::flat_hash_set<uint32_t>& function_indexes) {
  for (auto& [address, hook] : hooks_) {
    if (hook.live && function_indexes.contains(hook.function_index))
      Prepare(address, hook, /*live=*/false);
  }
}

const std::vector<TextChange>& HookInstaller::TakePrepared() {
  for (const TextChange& change : changes_) {
    const auto end = change.expected.begin() + static_cast<std::ptrdiff_t>(change.bytes.size());
    const auto [changed, is_new] = changed_.try_emplace(change.address);
    if (is_new) changed->second.original = {change.expected.begin(), end};
    changed->second.present = change.bytes;
  }
  return changes_;
}

void HookInstaller::RemoveHooks() {
  changes_.clear();
  change_hooks_.clear();
  for (const auto& [address, changed] : changed_) {
    if (changed.present == changed.original || questions_.count(address) != 0) continue;
    changes_.push_back({address, changed.present, changed.original, 0, {}});
    change_hooks_.push_back(0);
  }
}

std::vector<TextChange> HookInstaller::Lookups() const {
  std::vector<TextChange> lookups;
  for (const auto& [address, changed] : changed_) {
    if (changed.present == changed.original || questions_.count(address) == 0) continue;
    lookups.push_back({address, changed.present, changed.original, 0, {}});
  }
  return lookups;
}

std::vector<JournalText> HookInstaller::Describe(absl::Span<const TextChange> changes) const {
  std::vector<JournalText> texts;
  for (const TextChange& change : changes) {
    const auto changed = changed_.find(change.address);
    if (changed != changed_.end())
      texts.push_back({change.address, changed->second.original, change.bytes,
                       questions_.count(change.address) != 0});
  }
  return texts;
}

void HookInstaller::Forget(uint64_t low, uint64_t high) {
  changed_.erase(changed_.lower_bound(low), changed_.lower_bound(high));
  for (auto hook = hooks_.lower_bound(low); hook != hooks_.end() && hook->first < high; ++hook) {
    if (hook->second.live) --live_;
    hook->second.live = false;
  }
}

absl::Status HookInstaller::Patch() {
  const std::vector<size_t> unexpected = FindUnexpected(process_, changes_);
  for (const size_t i : unexpected) {
    const auto hook = hooks_.find(change_hooks_[i]);
    if (hook != hooks_.end() && hook->second.sled) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("the code at ", absl::Hex(changes_[i].address),
                     " is not what the file has; was the file replaced meanwhile?"));
  }
  std::vector<TextChange> expected;
  for (size_t i = 0; i < changes_.size(); ++i) {
    if (!std::binary_search(unexpected.begin(), unexpected.end(), i)) {
      expected.push_back(changes_[i]);
    }
  }
  TakePrepared();
  const absl::Status written = WriteText(process_, expected);
  if (written.ok()) Commit(unexpected, changes_.size());
  return written;
}

size_t HookInstaller::Commit(absl::Span<const size_t> unwritten, size_t tried) {
  size_t unanswered = 0;
  for (size_t i = 0; i < changes_.size(); ++i) {
    Changed& changed = changed_.at(changes_[i].address);
    const bool restores = changed.present == changed.original;
    if (i >= tried && restores) {
      changed.present.assign(
          changes_[i].expected.begin(),
          changes_[i].expected.begin() + static_cast<std::ptrdiff_t>(changes_[i].bytes.size()));
    }
    if (change_hooks_[i] == 0) {
      if (std::binary_search(unwritten.begin(), unwritten.end(), i)) ++unanswered;
      continue;
    }
    Installed& hook = hooks_[change_hooks_[i]];
    const bool adds = !changes_[i].landmarks.empty();
    if (std::binary_search(unwritten.begin(), unwritten.end(), i)) {
      if (adds) {
        failures_.push_back(
            {hook.function_index,
             absl::StrCat("its code at ", absl::Hex(changes_[i].address),
                          " is not what the file has, or a thread stands in its middle")});
      }
      // Taking out what is not there any more changes nothing.
      if (adds || !hook.live || i >= tried) continue;
    }
    if (hook.live != adds) live_ += adds ? 1 : -1;
    hook.live = adds;
  }
  changes_.clear();
  change_hooks_.clear();
  return unanswered;
}

}  // namespace flightrec::target
