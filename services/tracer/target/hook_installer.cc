#include "services/tracer/target/hook_installer.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "services/tracer/agent/agent_image.h"
#include "services/tracer/patch/planner.h"
#include "services/tracer/patch/relocate.h"
#include "services/tracer/target/region_builder.h"

namespace flightrec::target {
namespace {

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

}  // namespace

absl::Status HookInstaller::AddJump(const patch::Site& site, uint64_t load_bias, uint64_t target) {
  const uint64_t address = site.address + load_bias;
  const auto jump = patch::EncodeJump(address, target);
  if (!jump.ok()) return jump.status();
  jumps_.push_back({address, site.displaced, std::vector<uint8_t>(jump->begin(), jump->end())});
  return absl::OkStatus();
}

absl::Status HookInstaller::AddModule(const symbols::Module& module, uint64_t load_bias,
                                      const std::vector<Hook>& hooks, uint32_t first_index) {
  if (hooks.empty()) return absl::OkStatus();
  const auto [low, high] = TextRange(module, load_bias);
  const absl::StatusOr<RegionSpace> space =
      memory_.MapRegion(low, high, RegionBuilder::BytesFor(hooks.size()));
  if (!space.ok()) return space.status();
  const agent::ImageHeader image = agent::GetImageHeader();
  RegionBuilder builder(space->address, hooks.size(), memory_.agent_state(),
                        memory_.AgentFunction(image.slow_entry),
                        memory_.AgentFunction(image.slow_exit), memory_.geometry());
  for (uint32_t i = 0; i < hooks.size(); ++i) {
    const Hook& hook = hooks[i];
    const absl::StatusOr<uint64_t> stub =
        builder.AddStub(hook.site, load_bias, hook.function_id, first_index + i);
    const absl::Status status = stub.ok() ? AddJump(hook.site, load_bias, *stub) : stub.status();
    if (!status.ok()) {
      failures_.push_back({first_index + i, std::string(status.message())});
    }
  }
  const absl::Status status = process_.Write(space->address, builder.bytes());
  if (!status.ok()) return status;
  return memory_.AddRegion(builder.region());
}

absl::Status HookInstaller::AddUnwinder(const symbols::Module& module, uint64_t load_bias) {
  const agent::ImageHeader image = agent::GetImageHeader();
  for (uint32_t i = 0; i < module.functions.size(); ++i) {
    const std::string& symbol = module.functions[i].symbol;
    absl::Status status;
    if (symbol == "_Unwind_Find_FDE") {
      status = AddQuestion(module, load_bias, i, image.find_fde, stub::Answer::kFunctionResult);
    } else if (symbol == "_dl_find_object") {
      status = AddQuestion(module, load_bias, i, image.find_object, stub::Answer::kZero);
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status HookInstaller::AddQuestion(const symbols::Module& module, uint64_t load_bias,
                                        uint32_t function, uint32_t agent_function,
                                        stub::Answer answer) {
  const patch::Planner planner(module);
  const auto plan = planner.PlanSite(function, patch::NamePolicy::kAllow);
  if (const auto* refusal = std::get_if<patch::Refusal>(&plan)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "exceptions cannot cross hooked functions: ", module.functions[function].symbol, " of ",
        module.path, ": ", patch::ReasonSentence(refusal->reason), " ", refusal->detail));
  }
  const auto& site = std::get<patch::Site>(plan);
  const auto [low, high] = TextRange(module, load_bias);
  const absl::StatusOr<RegionSpace> space = memory_.MapRegion(low, high, 4096);
  if (!space.ok()) return space.status();
  std::vector<uint8_t> code = stub::EmitQuestion(space->address, memory_.agent_state(),
                                                 memory_.AgentFunction(agent_function), answer);
  const absl::StatusOr<patch::RelocatedPrologue> original =
      patch::RelocatePrologue(site, load_bias, space->address + code.size());
  if (!original.ok()) return original.status();
  code.insert(code.end(), original->code.begin(), original->code.end());
  absl::Status status = process_.Write(space->address, code);
  if (status.ok()) status = AddJump(site, load_bias, space->address);
  if (status.ok()) ++unwinders_;
  return status;
}

absl::Status HookInstaller::CheckText() const {
  for (const Jump& jump : jumps_) {
    std::vector<uint8_t> present(jump.expected.size());
    const absl::Status status = process_.Read(jump.address, absl::MakeSpan(present));
    if (!status.ok()) return status;
    if (present != jump.expected) {
      return absl::FailedPreconditionError(
          absl::StrCat("the code at ", absl::Hex(jump.address),
                       " is not what the file has; was the file replaced meanwhile?"));
    }
  }
  return absl::OkStatus();
}

absl::Status HookInstaller::Patch() {
  absl::Status status = CheckText();
  for (const Jump& jump : jumps_) {
    if (!status.ok()) return status;
    status = process_.Write(jump.address, jump.bytes);
  }
  return status;
}

}  // namespace flightrec::target
