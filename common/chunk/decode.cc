#include <algorithm>
#include <vector>

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

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("chunk payload is malformed: ", what));
}

// Memory that decoding needs besides its result; kept by each thread, at most
// kMaxPayloadBytes plus 24 bytes for each of kMaxCallsPerChunk calls.
struct Scratch {
  std::vector<uint8_t> payload;
  std::vector<uint64_t> functions;
  std::vector<uint32_t> parent_index;
  std::vector<uint64_t> gaps;
  std::vector<uint64_t> exit_gaps;
  PathBases bases;
  GapCodec gap_codec;
};

bool ReadFunctions(ByteReader& reader, std::vector<uint64_t>& functions) {
  for (uint64_t& function : functions) {
    function = reader.ReadInteger<uint64_t>();
  }
  return reader.ok();
}

bool ReadFunction(ByteReader& reader, const std::vector<uint64_t>& functions, uint64_t index,
                  ids::FunctionId& function_id) {
  if (!reader.ok() || index >= functions.size()) return false;
  function_id = functions[index];
  return true;
}

bool ReadPaths(ByteReader& reader, Scratch& scratch, std::vector<PathEntry>& paths) {
  scratch.parent_index.assign(paths.size(), kNoParentIndex);
  for (size_t i = 0; i < paths.size(); ++i) {
    const uint64_t reference = reader.ReadVarint();
    uint64_t parent = kRootPath;
    if (reference == kParentIsGiven) {
      parent = reader.ReadInteger<uint64_t>();
    } else if (reference >= kParentFirstIndex) {
      const uint64_t index = reference - kParentFirstIndex;
      if (index >= i) return false;
      parent = paths[index].path_id;
      scratch.parent_index[i] = static_cast<uint32_t>(index);
    }
    if (!ReadFunction(reader, scratch.functions, reader.ReadVarint(), paths[i].function_id)) {
      return false;
    }
    paths[i].path_id = ExtendPath(parent, paths[i].function_id);
  }
  return true;
}

bool ReadOpenCalls(ByteReader& reader, const std::vector<uint64_t>& functions,
                   std::vector<OpenCall>& calls) {
  OpenCall previous;
  previous.path_id = kRootPath;
  for (OpenCall& call : calls) {
    const uint64_t reference = reader.ReadVarint();
    if (!ReadFunction(reader, functions, reference >> 1, call.function_id)) {
      return false;
    }
    call.path_id = (reference & 1) != 0 ? reader.ReadInteger<uint64_t>()
                                        : ExtendPath(previous.path_id, call.function_id);
    call.ordinal = previous.ordinal + UnZigZag(reader.ReadVarint());
    call.start_ticks = previous.start_ticks + UnZigZag(reader.ReadVarint());
    previous = call;
  }
  return reader.ok();
}

bool ReadLost(ByteReader& reader, const std::vector<uint64_t>& functions,
              std::vector<LostCalls>& lost) {
  for (LostCalls& entry : lost) {
    if (!ReadFunction(reader, functions, reader.ReadVarint(), entry.function_id)) {
      return false;
    }
    entry.count = reader.ReadVarint();
  }
  return reader.ok();
}

bool ReadFiltered(ByteReader& reader, const ChunkHeader& header,
                  const std::vector<uint64_t>& functions, std::vector<LostCalls>& filtered) {
  filtered.clear();
  if ((header.required_features & kFeatureFiltered) == 0) return true;
  const uint64_t count = reader.ReadVarint();
  // Each takes two bytes at least.
  if (!reader.ok() || count > kMaxFilteredFunctionsPerChunk || count > reader.rest().size() / 2) {
    return false;
  }
  filtered.resize(count);
  return ReadLost(reader, functions, filtered);
}

absl::Status ReadDictionary(ByteReader& reader, const PayloadShape& shape, Scratch& scratch,
                            CallChunk& chunk) {
  scratch.functions.resize(shape.function_count);
  chunk.paths.resize(shape.path_count);
  chunk.open_calls.resize(shape.open_call_count);
  chunk.lost_before.resize(shape.lost_function_count);
  if (!ReadFunctions(reader, scratch.functions)) return Malformed("functions");
  if (!ReadPaths(reader, scratch, chunk.paths)) return Malformed("paths");
  if (!ReadOpenCalls(reader, scratch.functions, chunk.open_calls)) {
    return Malformed("open calls");
  }
  if (!ReadLost(reader, scratch.functions, chunk.lost_before)) {
    return Malformed("lost calls");
  }
  if (!ReadFiltered(reader, chunk.header, scratch.functions, chunk.filtered_before)) {
    return Malformed("filtered calls");
  }
  return absl::OkStatus();
}

// Turns the gaps in `ordinals` into ordinals from `first` on. False if one
// would not be above its predecessor.
bool RestoreOrdinals(uint64_t first, std::vector<uint64_t>& ordinals) {
  uint64_t next = first;
  bool increases = true;
  for (size_t i = 0; i < ordinals.size(); ++i) {
    const uint64_t ordinal = next + ordinals[i];
    increases &= ordinal >= next && (next != 0 || i == 0);
    ordinals[i] = ordinal;
    next = ordinal + 1;
  }
  return increases;
}

absl::Status ReadCalls(absl::Span<const uint8_t> bytes, const ChunkHeader& header, Scratch& scratch,
                       CallChunk& chunk) {
  const size_t count = header.call_count;
  CallColumns& calls = chunk.calls;
  calls.ordinal.resize(count);
  calls.path_index.resize(count);
  calls.start_ticks.resize(count);
  calls.duration_ticks.resize(count);
  scratch.gaps.resize(count);
  scratch.exit_gaps.resize(count);
  scratch.bases.entry.resize(chunk.paths.size());
  scratch.bases.exit.resize(chunk.paths.size());

  if (!ReadPackedColumn(bytes, absl::MakeSpan(scratch.bases.entry)) ||
      !ReadPackedColumn(bytes, absl::MakeSpan(scratch.bases.exit))) {
    return Malformed("bases of paths");
  }
  if (!ReadPackedColumn(bytes, absl::MakeSpan(calls.ordinal)) ||
      !RestoreOrdinals(header.min_ordinal, calls.ordinal)) {
    return Malformed("ordinals");
  }
  if (!ReadPackedColumn(bytes, absl::MakeSpan(calls.path_index))) {
    return Malformed("path indexes");
  }
  uint32_t max_index = 0;
  for (const uint32_t index : calls.path_index) {
    max_index = std::max(max_index, index);
  }
  if (count > 0 && max_index >= chunk.paths.size()) {
    return Malformed(absl::StrCat("path index ", max_index, " of ", chunk.paths.size(), " paths"));
  }
  if (!ReadPackedColumn(bytes, absl::MakeSpan(scratch.gaps)) ||
      !ReadPackedColumn(bytes, absl::MakeSpan(scratch.exit_gaps))) {
    return Malformed("gaps");
  }
  if (!bytes.empty()) {
    return Malformed(absl::StrCat(bytes.size(), " bytes behind the columns"));
  }
  const CallNesting nesting = {calls.path_index, scratch.parent_index, header.min_start_ticks};
  scratch.gap_codec.FromGaps(nesting, scratch.bases, scratch.gaps, scratch.exit_gaps,
                             absl::MakeSpan(calls.start_ticks),
                             absl::MakeSpan(calls.duration_ticks));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ChunkHeader> DecodeHeader(absl::string_view bytes) {
  const absl::StatusOr<FullHeader> full = ParseHeader(bytes);
  if (!full.ok()) return full.status();
  return full->header;
}

absl::Status DecodeCallChunkInto(absl::string_view bytes, CallChunk& chunk) {
  const absl::StatusOr<FullHeader> full = ParseHeader(bytes);
  if (!full.ok()) return full.status();
  chunk.header = full->header;

  thread_local Scratch scratch;
  const size_t payload_bytes = full->shape.payload_bytes;
  scratch.payload.resize(payload_bytes + kPackedColumnSlack);
  const absl::Span<uint8_t> payload = absl::MakeSpan(scratch.payload).first(payload_bytes);
  if (absl::Status status = Decompress(bytes.substr(kHeaderBytes), payload); !status.ok()) {
    return status;
  }
  ByteReader reader(payload);
  if (absl::Status status = ReadDictionary(reader, full->shape, scratch, chunk); !status.ok()) {
    return status;
  }
  if (absl::Status status = ReadCalls(reader.rest(), full->header, scratch, chunk); !status.ok()) {
    return status;
  }
  ChunkHeader summary = full->header;
  SummarizeCalls(chunk.calls, summary);
  if (summary != full->header) {
    return Malformed("the calls contradict the header's range");
  }
  return absl::OkStatus();
}

absl::StatusOr<CallChunk> DecodeCallChunk(absl::string_view bytes) {
  CallChunk chunk;
  if (absl::Status status = DecodeCallChunkInto(bytes, chunk); !status.ok()) {
    return status;
  }
  return chunk;
}

}  // namespace flightrec::chunk
