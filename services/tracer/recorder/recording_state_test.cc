#include "services/tracer/recorder/recording_state.h"

#include <gtest/gtest.h>

#include <vector>

namespace flightrec::tracer {
namespace {

const std::vector<RecordingState> kAll = {RecordingState::kCreated,   RecordingState::kArmed,
                                          RecordingState::kRecording, RecordingState::kDraining,
                                          RecordingState::kSealed,    RecordingState::kFailed};

RecordingLife At(RecordingState state) {
  RecordingLife life;
  if (state == RecordingState::kFailed) {
    EXPECT_TRUE(life.Advance(RecordingState::kFailed).ok());
    return life;
  }
  for (RecordingState step : kAll) {
    if (step > RecordingState::kCreated && step <= state) {
      EXPECT_TRUE(life.Advance(step).ok());
    }
  }
  return life;
}

TEST(RecordingLife, every_pair_of_states__then_only_the_arrows_are_taken) {
  for (RecordingState from : kAll) {
    for (RecordingState to : kAll) {
      RecordingLife life = At(from);
      ASSERT_EQ(life.state(), from);
      const bool ended = from == RecordingState::kSealed || from == RecordingState::kFailed;
      const bool forward =
          static_cast<int>(to) == static_cast<int>(from) + 1 && to != RecordingState::kFailed;
      const bool legal = !ended && (forward || to == RecordingState::kFailed);
      absl::Status advanced = life.Advance(to);
      EXPECT_EQ(advanced.code(),
                legal ? absl::StatusCode::kOk : absl::StatusCode::kFailedPrecondition)
          << StateName(from) << " to " << StateName(to);
      EXPECT_EQ(life.state(), legal ? to : from);
    }
  }
}

TEST(RecordingLife, illegal_step__then_the_error_names_both_states) {
  RecordingLife life;
  EXPECT_EQ(life.Advance(RecordingState::kSealed).message(),
            "the recording is created and cannot become sealed");
}

}  // namespace
}  // namespace flightrec::tracer
