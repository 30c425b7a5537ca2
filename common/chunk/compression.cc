#include "common/chunk/compression.h"

#include <zstd.h>

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"

namespace flightrec::chunk {
namespace {

// Below this, a block of its own costs more than a better entropy table saves.
constexpr size_t kMinBlockBytes = 1024;

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

absl::Status CompressorError(size_t result) {
  return absl::InternalError(absl::StrCat("zstd cannot compress: ", ZSTD_getErrorName(result)));
}

ZSTD_CCtx* ThreadCompressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  return context.get();
}

ZSTD_DCtx* ThreadDecompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
  return context.get();
}

// Where frames are made: of their length only the bound is known before.
std::vector<char>& ThreadFrame() {
  thread_local std::vector<char> frame;
  return frame;
}

}  // namespace

absl::Status CompressParts(absl::Span<const absl::string_view> parts, int level, std::string& out) {
  ZSTD_CCtx* const context = ThreadCompressor();
  size_t total = 0;
  for (const absl::string_view part : parts) total += part.size();
  ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
  size_t result = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
  if (ZSTD_isError(result) != 0) return CompressorError(result);
  ZSTD_CCtx_setPledgedSrcSize(context, total);

  constexpr size_t kFlushBytes = 16;
  std::vector<char>& frame = ThreadFrame();
  const size_t bound = ZSTD_compressBound(total) + kFlushBytes * parts.size();
  if (frame.size() < bound) frame.resize(bound);
  ZSTD_outBuffer output{frame.data(), bound, 0};
  size_t in_block = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    ZSTD_inBuffer input{parts[i].data(), parts[i].size(), 0};
    in_block += parts[i].size();
    const bool last = i + 1 == parts.size();
    const bool flush = in_block >= kMinBlockBytes;
    result = ZSTD_compressStream2(context, &output, &input,
                                  last ? ZSTD_e_end : (flush ? ZSTD_e_flush : ZSTD_e_continue));
    if (ZSTD_isError(result) != 0) return CompressorError(result);
    if (input.pos != input.size || ((last || flush) && result != 0)) {
      return absl::InternalError(
          absl::StrCat("zstd left ", result, " bytes of ", total, " behind its bound"));
    }
    if (flush) in_block = 0;
  }
  out.append(frame.data(), output.pos);
  return absl::OkStatus();
}

absl::Status Decompress(absl::string_view frame, absl::Span<uint8_t> out) {
  const size_t result =
      ZSTD_decompressDCtx(ThreadDecompressor(), out.data(), out.size(), frame.data(), frame.size());
  if (ZSTD_isError(result) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("payload is not a zstd frame of ", out.size(),
                                                   " bytes: ", ZSTD_getErrorName(result)));
  }
  if (result != out.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("payload decompresses to ", result, " bytes, the header says ", out.size()));
  }
  return absl::OkStatus();
}

}  // namespace flightrec::chunk
