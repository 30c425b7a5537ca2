#include "common/ids/resource_name.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "common/ids/hex16.h"

namespace flightrec::ids {
namespace {

constexpr char kRecording[] = "recordings/01ARZ3NDEKTSV4RRFFQ69G5FAV";
constexpr char kProcess[] = "recordings/01ARZ3NDEKTSV4RRFFQ69G5FAV/processes/00000000000000ff";
constexpr char kThread[] =
    "recordings/01ARZ3NDEKTSV4RRFFQ69G5FAV/processes/00000000000000ff/threads/"
    "fedcba9876543210";

TEST(Hex16, printed_id__parses_to_itself) {
  for (const uint64_t id : {uint64_t{0}, uint64_t{0xAB}, ~uint64_t{0}}) {
    const absl::StatusOr<uint64_t> parsed = ParseHex16(Hex16(id));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, id);
  }
  EXPECT_EQ(Hex16(0xAB), "00000000000000ab");
}

TEST(Hex16, malformed_text__is_refused) {
  for (const char* text :
       {"", "ab", "00000000000000AB", "00000000000000a", "00000000000000abc", "0x000000000000ab"}) {
    EXPECT_EQ(ParseHex16(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(ResourceName, parsed_name__formats_to_itself) {
  const absl::StatusOr<Ulid> recording = ParseRecordingResourceName(kRecording);
  ASSERT_TRUE(recording.ok()) << recording.status();
  EXPECT_EQ(RecordingResourceName(*recording), kRecording);

  const absl::StatusOr<ProcessName> process = ParseProcessResourceName(kProcess);
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_EQ(process->process, 0xFFu);
  EXPECT_EQ(ProcessResourceName(process->recording, process->process), kProcess);

  const absl::StatusOr<ThreadName> thread = ParseThreadResourceName(kThread);
  ASSERT_TRUE(thread.ok()) << thread.status();
  EXPECT_EQ(thread->thread, 0xFEDCBA9876543210u);
  EXPECT_EQ(ThreadResourceName(thread->recording, thread->process, thread->thread), kThread);
}

TEST(ResourceName, malformed_name__is_refused_with_the_name_and_the_form) {
  for (const char* name : {"", "recordings/", "recording/01ARZ3NDEKTSV4RRFFQ69G5FAV", kProcess,
                           "recordings/01ARZ3NDEKTSV4RRFFQ69G5FAV/", "recordings/latest"}) {
    const absl::Status status = ParseRecordingResourceName(name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    const std::string message(status.message());
    EXPECT_NE(message.find("\"" + std::string(name) +
                           "\" is not of the form "
                           "recordings/{recording}"),
              std::string::npos)
        << message;
  }
  EXPECT_EQ(ParseThreadResourceName(kProcess).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseProcessResourceName(kThread).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace flightrec::ids
