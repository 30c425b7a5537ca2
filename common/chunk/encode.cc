#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/chunk/byte_io.h"
#include "common/chunk/call_gaps.h"
#include "common/chunk/codec.h"
#include "common/chunk/compression.h"
#include "common/chunk/format.h"
#include "common/chunk/header_codec.h"
#include "common/chunk/packed_column.h"
#include "common/path/path.h"

namespace flightrec::chunk {
namespace {

absl::Status CheckCount(absl::string_view what, size_t count, size_t limit) {
  if (count <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cannot encode ", count, " ", what, " in one chunk: limit is ", limit));
}

absl::Status RowError(const CallChunk& chunk) {
  const CallColumns& calls = chunk.calls;
  for (size_t i = 0; i < calls.size(); ++i) {
    if (calls.path_index[i] >= chunk.paths.size()) {
      return absl::InvalidArgumentError(absl::StrCat("call ", i, " has path index ",
                                                     calls.path_index[i], ", the chunk has ",
                                                     chunk.paths.size(), " paths"));
    }
    if (i > 0 && calls.ordinal[i] <= calls.ordinal[i - 1]) {
      return absl::InvalidArgumentError(absl::StrCat("call ", i, " has ordinal ", calls.ordinal[i],
                                                     " behind ", calls.ordinal[i - 1],
                                                     ": ordinals must increase"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckColumns(const CallChunk& chunk) {
  const CallColumns& calls = chunk.calls;
  if (calls.path_index.size() != calls.size() || calls.start_ticks.size() != calls.size() ||
      calls.duration_ticks.size() != calls.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("columns differ in length: ", calls.size(), " ordinals, ",
                     calls.path_index.size(), " path indexes, ", calls.start_ticks.size(),
                     " starts, ", calls.duration_ticks.size(), " durations"));
  }
  uint32_t max_path = 0;
  for (const uint32_t path : calls.path_index) max_path = std::max(max_path, path);
  bool increasing = true;
  for (size_t i = 1; i < calls.size(); ++i) increasing &= calls.ordinal[i] > calls.ordinal[i - 1];
  if ((calls.size() == 0 || max_path < chunk.paths.size()) && increasing) return absl::OkStatus();
  return RowError(chunk);
}

absl::Status CheckEncodable(const CallChunk& chunk) {
  if (chunk.header.lane != Lane::kIndex) {
    return absl::InvalidArgumentError(absl::StrCat("cannot encode lane ",
                                                   static_cast<unsigned>(chunk.header.lane),
                                                   ": only the index lane, 1, has a codec"));
  }
  if ((chunk.header.required_features & ~kKnownFeatures) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("cannot encode with required features ",
                                                   absl::Hex(chunk.header.required_features),
                                                   ": none is known"));
  }
  absl::Status status = CheckCount("calls", chunk.calls.size(), kMaxCallsPerChunk);
  status.Update(CheckCount("paths", chunk.paths.size(), kMaxPathsPerChunk));
  status.Update(CheckCount("open calls", chunk.open_calls.size(), kMaxOpenCallsPerChunk));
  status.Update(
      CheckCount("functions with lost calls", chunk.lost_before.size(), kMaxLostFunctionsPerChunk));
  status.Update(CheckCount("functions with filtered calls", chunk.filtered_before.size(),
                           kMaxFilteredFunctionsPerChunk));
  if (!chunk.filtered_before.empty() && (chunk.header.required_features & kFeatureFiltered) == 0) {
    status.Update(absl::InvalidArgumentError(
        absl::StrCat("cannot encode filtered calls of ", chunk.filtered_before.size(),
                     " functions without the feature bit for them")));
  }
  status.Update(CheckColumns(chunk));
  return status;
}

// Functions by order of first use.
class FunctionTable {
 public:
  uint64_t IndexOf(ids::FunctionId function_id) {
    const auto [entry, added] = index_.try_emplace(function_id, functions_.size());
    if (added) functions_.push_back(function_id);
    return entry->second;
  }

  const std::vector<ids::FunctionId>& functions() const { return functions_; }

 private:
  absl::flat_hash_map<ids::FunctionId, uint64_t> index_;
  std::vector<ids::FunctionId> functions_;
};

void AppendPaths(const std::vector<PathEntry>& paths, FunctionTable& functions,
                 std::vector<uint32_t>& parent_index, std::string& bytes) {
  absl::flat_hash_map<uint64_t, uint32_t> index_of_path;
  index_of_path.reserve(paths.size());
  parent_index.assign(paths.size(), kNoParentIndex);
  for (size_t i = 0; i < paths.size(); ++i) {
    const uint64_t parent = ParentPath(paths[i].path_id, paths[i].function_id);
    const auto above = index_of_path.find(parent);
    if (above != index_of_path.end()) {
      parent_index[i] = above->second;
      AppendVarint(bytes, kParentFirstIndex + above->second);
    } else if (parent == kRootPath) {
      AppendVarint(bytes, kParentIsRoot);
    } else {
      AppendVarint(bytes, kParentIsGiven);
      AppendInteger(bytes, parent);
    }
    AppendVarint(bytes, functions.IndexOf(paths[i].function_id));
    index_of_path.try_emplace(paths[i].path_id, static_cast<uint32_t>(i));
  }
}

void AppendOpenCalls(const std::vector<OpenCall>& calls, FunctionTable& functions,
                     std::string& bytes) {
  OpenCall previous;
  previous.path_id = kRootPath;
  for (const OpenCall& call : calls) {
    const bool extends = ExtendPath(previous.path_id, call.function_id) == call.path_id;
    AppendVarint(bytes, functions.IndexOf(call.function_id) << 1 | (extends ? 0 : 1));
    if (!extends) AppendInteger(bytes, call.path_id);
    AppendVarint(bytes, ZigZag(call.ordinal - previous.ordinal));
    AppendVarint(bytes, ZigZag(call.start_ticks - previous.start_ticks));
    previous = call;
  }
}

void AppendLost(const std::vector<LostCalls>& lost, FunctionTable& functions, std::string& bytes) {
  for (const LostCalls& entry : lost) {
    AppendVarint(bytes, functions.IndexOf(entry.function_id));
    AppendVarint(bytes, entry.count);
  }
}

// Memory that encoding needs besides its result; kept by each thread, at most 128 bytes for each of
// kMaxCallsPerChunk calls and 64 for each of kMaxPathsPerChunk paths.
struct Scratch {
  CallGaps gaps;
  PathBases bases;
  GapCodec gap_codec;
  std::array<ColumnPacker, 6> columns;
};

// Fills the payload's parts behind the dictionary.
void PackCalls(const CallColumns& calls, absl::Span<const uint32_t> parent_index,
               uint64_t origin_ticks, Scratch& scratch) {
  const size_t count = calls.size();
  const CallNesting nesting = {calls.path_index, parent_index, origin_ticks};
  scratch.gap_codec.ToGaps(nesting, calls.start_ticks, calls.duration_ticks, scratch.bases,
                           scratch.gaps);
  const uint64_t* const entry_base = scratch.bases.entry.data();
  const uint64_t* const exit_base = scratch.bases.exit.data();
  scratch.columns[0].Pack(parent_index.size(), [&](size_t i) { return entry_base[i]; });
  scratch.columns[1].Pack(parent_index.size(), [&](size_t i) { return exit_base[i]; });

  const uint64_t* const ordinal = calls.ordinal.data();
  if (count == 0 || ordinal[count - 1] - ordinal[0] == count - 1) {
    scratch.columns[2].PackZeros();
  } else {
    scratch.columns[2].Pack(count,
                            [&](size_t i) { return i == 0 ? 0 : ordinal[i] - ordinal[i - 1] - 1; });
  }
  const uint32_t* const path = calls.path_index.data();
  scratch.columns[3].Pack(count, [&](size_t i) { return path[i]; });
  const uint64_t* const entry = scratch.gaps.entry.data();
  scratch.columns[4].Pack(count, [&](size_t i) { return entry[i] - entry_base[path[i]]; });
  const uint64_t* const exit = scratch.gaps.exit.data();
  const uint32_t* const exit_path = scratch.gaps.exit_path.data();
  scratch.columns[5].Pack(count, [&](size_t i) { return exit[i] - exit_base[exit_path[i]]; });
}

}  // namespace

absl::StatusOr<std::string> EncodeCallChunk(const CallChunk& chunk, int compression_level) {
  if (absl::Status status = CheckEncodable(chunk); !status.ok()) return status;
  FullHeader full;
  full.header = chunk.header;
  SummarizeCalls(chunk.calls, full.header);

  FunctionTable functions;
  std::vector<uint32_t> parent_index;
  std::string references;
  AppendPaths(chunk.paths, functions, parent_index, references);
  AppendOpenCalls(chunk.open_calls, functions, references);
  AppendLost(chunk.lost_before, functions, references);
  if ((chunk.header.required_features & kFeatureFiltered) != 0) {
    AppendVarint(references, chunk.filtered_before.size());
    AppendLost(chunk.filtered_before, functions, references);
  }
  if (absl::Status status =
          CheckCount("functions", functions.functions().size(), kMaxFunctionsPerChunk);
      !status.ok()) {
    return status;
  }
  const absl::string_view function_bytes(
      reinterpret_cast<const char*>(functions.functions().data()),
      functions.functions().size() * sizeof(ids::FunctionId));
  thread_local Scratch scratch;
  PackCalls(chunk.calls, parent_index, full.header.min_start_ticks, scratch);

  std::vector<absl::string_view> parts = {function_bytes, references};
  for (const ColumnPacker& column : scratch.columns) {
    parts.insert(parts.end(), column.parts().begin(), column.parts().end());
  }
  size_t payload_bytes = 0;
  for (const absl::string_view part : parts) payload_bytes += part.size();
  if (payload_bytes > kMaxPayloadBytes) {
    return absl::ResourceExhaustedError(absl::StrCat("chunk payload of ", payload_bytes,
                                                     " bytes is above ", kMaxPayloadBytes,
                                                     ": split the calls"));
  }
  std::string bytes(kHeaderBytes, '\0');
  if (absl::Status status = CompressParts(parts, compression_level, bytes); !status.ok()) {
    return status;
  }
  if (bytes.size() > kMaxChunkBytes) {
    return absl::ResourceExhaustedError(absl::StrCat("chunk of ", bytes.size(), " bytes is above ",
                                                     kMaxChunkBytes, ": split the calls"));
  }
  full.shape.function_count = static_cast<uint32_t>(functions.functions().size());
  full.shape.path_count = static_cast<uint32_t>(chunk.paths.size());
  full.shape.open_call_count = static_cast<uint32_t>(chunk.open_calls.size());
  full.shape.lost_function_count = static_cast<uint32_t>(chunk.lost_before.size());
  full.shape.payload_bytes = static_cast<uint32_t>(payload_bytes);
  full.shape.compressed_bytes = static_cast<uint32_t>(bytes.size() - kHeaderBytes);
  StoreHeader(full, bytes);
  return bytes;
}

}  // namespace flightrec::chunk
