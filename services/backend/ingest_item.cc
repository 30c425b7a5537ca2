#include "services/backend/ingest_item.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/chunk/codec.h"
#include "common/chunk/format.h"
#include "common/ids/resource_name.h"

namespace flightrec::backend {
namespace {

using ItemOrRefusal = std::variant<Item, Refusal>;

Refusal Invalid(const absl::Status& status) {
  return {RefusalReason::kItemInvalid, 0, absl::InvalidArgumentError(status.message())};
}

Refusal Invalid(absl::string_view message) { return Invalid(absl::InvalidArgumentError(message)); }

Refusal TooLarge(absl::string_view what, size_t bytes) {
  return {RefusalReason::kItemTooLarge, 0,
          absl::InvalidArgumentError(
              absl::StrCat(what, " has ", bytes, " bytes, the most is ", kMaxItemBytes))};
}

ItemOrRefusal TakeRecording(trace::v1::Recording& recording) {
  absl::StatusOr<ids::Ulid> id = ids::ParseRecordingResourceName(recording.name());
  if (!id.ok()) return Invalid(id.status());
  if (recording.ByteSizeLong() > kMaxItemBytes) {
    return TooLarge(recording.name(), recording.ByteSizeLong());
  }
  if (!trace::v1::RecordingState_IsValid(recording.state()) ||
      recording.state() == trace::v1::RECORDING_STATE_UNSPECIFIED) {
    return Invalid(absl::StrCat(recording.name(), ": state ", static_cast<int>(recording.state()),
                                " is not one that a recording can be in"));
  }
  return RecordingItem{*id, std::move(recording)};
}

ItemOrRefusal TakeProcess(trace::v1::Process& process) {
  absl::StatusOr<ids::ProcessName> name = ids::ParseProcessResourceName(process.name());
  if (!name.ok()) return Invalid(name.status());
  if (process.ByteSizeLong() > kMaxItemBytes) {
    return TooLarge(process.name(), process.ByteSizeLong());
  }
  if (process.process_id() != name->process) {
    return Invalid(absl::StrCat(process.name(), ": process_id is ", process.process_id()));
  }
  return ProcessItem{*name, std::move(process)};
}

ItemOrRefusal TakeThread(trace::v1::Thread& thread) {
  absl::StatusOr<ids::ThreadName> name = ids::ParseThreadResourceName(thread.name());
  if (!name.ok()) return Invalid(name.status());
  if (thread.ByteSizeLong() > kMaxItemBytes) return TooLarge(thread.name(), thread.ByteSizeLong());
  if (thread.thread_id() != name->thread || thread.process_id() != name->process) {
    return Invalid(absl::StrCat(thread.name(), ": thread_id is ", thread.thread_id(),
                                ", process_id is ", thread.process_id()));
  }
  return ThreadItem{*name, std::move(thread)};
}

ItemOrRefusal TakeFunctions(ingest::v1::FunctionTable& table) {
  absl::StatusOr<ids::Ulid> recording = ids::ParseRecordingResourceName(table.recording());
  if (!recording.ok()) return Invalid(recording.status());
  FunctionsItem item{*recording, {}};
  item.functions.reserve(table.functions_size());
  for (trace::v1::Function& function : *table.mutable_functions()) {
    if (function.function_id() == 0) {
      return Invalid(absl::StrCat("function ", function.name(), ": function_id is 0"));
    }
    if (function.ByteSizeLong() > kMaxItemBytes) {
      return TooLarge("a function", function.ByteSizeLong());
    }
    item.functions.push_back(std::move(function));
  }
  return item;
}

RefusalReason ReasonOf(const absl::Status& decode_error) {
  switch (decode_error.code()) {
    case absl::StatusCode::kDataLoss:
      return RefusalReason::kChunkCorrupt;
    case absl::StatusCode::kUnimplemented:
      return RefusalReason::kChunkUnknownVersion;
    default:
      return RefusalReason::kChunkInvalid;
  }
}

ItemOrRefusal TakeChunk(trace::v1::Chunk& message) {
  const std::string& data = message.data();
  if (data.size() > chunk::kMaxChunkBytes) {
    return Refusal{RefusalReason::kChunkTooLarge, 0,
                   absl::InvalidArgumentError(absl::StrCat(
                       "chunk has ", data.size(), " bytes, the most is ", chunk::kMaxChunkBytes))};
  }
  absl::StatusOr<chunk::ChunkHeader> header = chunk::DecodeHeader(data);
  if (!header.ok()) return Refusal{ReasonOf(header.status()), 0, header.status()};
  return ChunkItem{*header, std::move(*message.mutable_data())};
}

ItemOrRefusal TakeItem(ingest::v1::Item& item) {
  switch (item.item_case()) {
    case ingest::v1::Item::kRecording:
      return TakeRecording(*item.mutable_recording());
    case ingest::v1::Item::kProcess:
      return TakeProcess(*item.mutable_process());
    case ingest::v1::Item::kThread:
      return TakeThread(*item.mutable_thread());
    case ingest::v1::Item::kFunctions:
      return TakeFunctions(*item.mutable_functions());
    case ingest::v1::Item::kChunk:
      return TakeChunk(*item.mutable_chunk());
    case ingest::v1::Item::ITEM_NOT_SET:
      break;
  }
  return Invalid("the item is empty, or of a kind that this backend does not know");
}

}  // namespace

Batch TakeBatch(const Producer& producer, ingest::v1::Batch& batch) {
  Batch result;
  result.producer = producer;
  result.sequence = batch.sequence();
  result.items.reserve(batch.items_size());
  for (int i = 0; i < batch.items_size(); ++i) {
    ItemOrRefusal item = TakeItem(*batch.mutable_items(i));
    if (auto* refusal = std::get_if<Refusal>(&item)) {
      refusal->item = static_cast<uint32_t>(i);
      result.refusal = std::move(*refusal);
      result.items.clear();
      return result;
    }
    result.items.push_back(std::get<Item>(std::move(item)));
  }
  return result;
}

}  // namespace flightrec::backend
