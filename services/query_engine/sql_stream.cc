#include "services/query_engine/sql_stream.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace flightrec::query_engine {
namespace {

// Proto strings are UTF-8; what a traced program called itself need not be.
bool IsUtf8(const std::string& text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    size_t more = 0;
    if (lead >= 0x80) more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if ((lead >= 0x80 && lead < 0xC2) || lead > 0xF4 || i + more >= text.size() + (more == 0)) {
      return false;
    }
    for (size_t k = 1; k <= more; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    i += more + 1;
  }
  return true;
}

struct ToProto {
  query::v1::SqlValue& out;

  void operator()(std::monostate /*null*/) const {}
  void operator()(bool value) const { out.set_bool_value(value); }
  void operator()(int64_t value) const { out.set_int_value(value); }
  void operator()(uint64_t value) const { out.set_uint_value(value); }
  void operator()(double value) const { out.set_double_value(value); }
  void operator()(std::string& value) const {
    if (IsUtf8(value)) {
      out.set_text_value(std::move(value));
    } else {
      out.set_bytes_value(std::move(value));
    }
  }
  void operator()(Blob& value) const { out.set_bytes_value(std::move(value.bytes)); }
};

}  // namespace

absl::Status SqlStream::TakeColumns(const std::vector<Column>& columns) {
  query::v1::SqlResponse response;
  query::v1::SqlSchema* schema = response.mutable_schema();
  for (const Column& column : columns) {
    query::v1::SqlColumn* out = schema->add_columns();
    out->set_name(column.name);
    out->set_type(column.type);
  }
  return Write(response);
}

absl::Status SqlStream::TakeRows(std::vector<Row> rows) {
  for (Row& row : rows) {
    query::v1::SqlRow out;
    for (Value& value : row) std::visit(ToProto{*out.add_values()}, value);
    const size_t bytes = out.ByteSizeLong();
    if (bytes > kMaxRowBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("a row of ", bytes, " bytes is above the limit of ", kMaxRowBytes,
                       "; select fewer or shorter columns"));
    }
    pending_bytes_ += bytes;
    *pending_.mutable_rows()->add_rows() = std::move(out);
    if (pending_bytes_ < kFrameBytes) continue;
    if (absl::Status status = Flush(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status SqlStream::End(const UserQueryTotals& totals,
                            const trace::v1::Completeness& completeness) {
  if (absl::Status status = Flush(); !status.ok()) return status;
  query::v1::SqlResponse response;
  query::v1::SqlEnd* end = response.mutable_end();
  end->set_rows(totals.rows);
  end->set_truncated(totals.truncated);
  *end->mutable_completeness() = completeness;
  return Write(response);
}

absl::Status SqlStream::Flush() {
  if (pending_bytes_ == 0) return absl::OkStatus();
  absl::Status status = Write(pending_);
  pending_.Clear();
  pending_bytes_ = 0;
  return status;
}

absl::Status SqlStream::Write(const query::v1::SqlResponse& response) {
  if (writer_.Write(response)) return absl::OkStatus();
  return absl::CancelledError("the caller closed the stream");
}

}  // namespace flightrec::query_engine
