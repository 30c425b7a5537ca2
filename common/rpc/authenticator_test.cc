#include "common/rpc/authenticator.h"

#include <gtest/gtest.h>

namespace flightrec::rpc {
namespace {

constexpr char kRead[] = "/flightrec.query.v1.QueryService/Overview";
constexpr char kIngest[] = "/flightrec.ingest.v1.IngestService/Ingest";
constexpr char kLaunch[] = "/flightrec.capture.v1.CaptureService/Launch";
constexpr char kHealth[] = "/grpc.health.v1.Health/Check";

Authenticator Open() {
  Authenticator authenticator({});
  authenticator.RequireRole("/flightrec.capture.v1.CaptureService/", Role::kControl);
  authenticator.AcceptControlToken("control-token-0123456789");
  return authenticator;
}

Authenticator Closed() {
  Authenticator authenticator(
      {{"reader-0123456789", {Role::kRead}, ""}, {"writer-0123456789", {Role::kWrite}, "team-a"}});
  authenticator.RequireRole("/flightrec.ingest.v1.", Role::kWrite);
  return authenticator;
}

TEST(Authenticator, open_server__lets_calls_without_token_pass) {
  EXPECT_TRUE(Open().Check(kRead, "").ok());
  EXPECT_TRUE(Open().Check(kRead, "Bearer whatever-was-sent").ok());
}

TEST(Authenticator, open_server__control_still_needs_the_control_token) {
  EXPECT_EQ(Open().Check(kLaunch, "").code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Open().Check(kLaunch, "Bearer control-token-0123456780").code(),
            absl::StatusCode::kUnauthenticated);
  EXPECT_TRUE(Open().Check(kLaunch, "Bearer control-token-0123456789").ok());
}

TEST(Authenticator, closed_server__every_call_needs_a_known_token) {
  for (const char* path : {kRead, kIngest, kHealth, "/no.such.Service/Method"}) {
    EXPECT_EQ(Closed().Check(path, "").code(), absl::StatusCode::kUnauthenticated) << path;
    EXPECT_EQ(Closed().Check(path, "Bearer reader-012345678").code(),
              absl::StatusCode::kUnauthenticated)
        << path;
  }
}

TEST(Authenticator, closed_server__role_decides) {
  EXPECT_TRUE(Closed().Check(kRead, "bearer reader-0123456789").ok());
  EXPECT_EQ(Closed().Check(kIngest, "Bearer reader-0123456789"),
            absl::PermissionDeniedError(
                "/flightrec.ingest.v1.IngestService/Ingest needs the role 'write', which this "
                "token does not have; ask for one that does"));
  EXPECT_TRUE(Closed().Check(kIngest, "Bearer writer-0123456789").ok());
}

TEST(Authenticator, closed_server__any_token_may_ask_for_health) {
  EXPECT_TRUE(Closed().Check(kHealth, "Bearer writer-0123456789").ok());
}

TEST(Authenticator, longer_prefix__wins) {
  Authenticator authenticator = Open();
  authenticator.RequireRole("/flightrec.capture.v1.CaptureService/ListTraced", Role::kRead);
  EXPECT_TRUE(
      authenticator.Check("/flightrec.capture.v1.CaptureService/ListTracedProcesses", "").ok());
}

}  // namespace
}  // namespace flightrec::rpc
