#include "services/tracer/agent/thread_name.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <cstdio>
#include <thread>

namespace flightrec::agent {
namespace {

TEST(NameMatches, globs__then_as_in_a_shell) {
  EXPECT_TRUE(NameMatches("*", ""));
  EXPECT_TRUE(NameMatches("worker-*", "worker-12"));
  EXPECT_TRUE(NameMatches("w?rker", "worker"));
  EXPECT_TRUE(NameMatches("*-a*b", "x-aab-ab"));
  EXPECT_FALSE(NameMatches("worker-*", "worker"));
  EXPECT_FALSE(NameMatches("worker", "worker-12"));
  EXPECT_FALSE(NameMatches("", "x"));
}

TEST(IsMutedByName, no_globs__then_not_muted) { EXPECT_FALSE(IsMutedByName(AgentState())); }

TEST(IsMutedByName, name_of_the_thread__then_decides) {
  AgentState state = {};
  state.thread_glob_count = 2;
  std::snprintf(state.thread_globs[0], kMaxThreadGlobBytes, "nobody");
  std::snprintf(state.thread_globs[1], kMaxThreadGlobBytes, "io-*");
  std::thread([&state] {
    pthread_setname_np(pthread_self(), "io-7");
    EXPECT_FALSE(IsMutedByName(state));
    pthread_setname_np(pthread_self(), "cpu-7");
    EXPECT_TRUE(IsMutedByName(state));
  }).join();
}

}  // namespace
}  // namespace flightrec::agent
