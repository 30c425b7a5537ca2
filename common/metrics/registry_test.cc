#include "common/metrics/registry.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace flightrec::metrics {
namespace {

TEST(Registry, counters_gauges_histograms__give_prometheus_text) {
  Registry registry;
  registry.AddCounter("chunks_total", "Chunks.", {{"lane", "in\"dex"}}).Add(3);
  registry.AddGauge("queue_bytes", "Bytes waiting.").Set(1.5);
  Histogram& latency = registry.AddHistogram("wait_seconds", "Wait.", {0.1, 1});
  latency.Observe(0.1);
  latency.Observe(0.5);
  latency.Observe(7);
  EXPECT_EQ(registry.Exposition(), R"(# HELP chunks_total Chunks.
# TYPE chunks_total counter
chunks_total{lane="in\"dex"} 3
# HELP queue_bytes Bytes waiting.
# TYPE queue_bytes gauge
queue_bytes 1.5
# HELP wait_seconds Wait.
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.1"} 1
wait_seconds_bucket{le="1"} 2
wait_seconds_bucket{le="+Inf"} 3
wait_seconds_sum 7.5999999999999996
wait_seconds_count 3
)");
}

TEST(Registry, same_name_and_labels__give_the_same_counter) {
  Registry registry;
  Counter& a = registry.AddCounter("x_total", "X.", {{"k", "v"}});
  Counter& b = registry.AddCounter("x_total", "X.", {{"k", "v"}});
  Counter& other = registry.AddCounter("x_total", "X.", {{"k", "w"}});
  EXPECT_EQ(&a, &b);
  EXPECT_NE(&a, &other);
}

TEST(Registry, threads_add_at_once__no_addition_is_lost) {
  Registry registry;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&registry] {
      for (int i = 0; i < 10000; ++i) registry.AddCounter("x_total", "X.").Add();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(registry.AddCounter("x_total", "X.").value(), 40000u);
}

TEST(RegistryDeathTest, name_with_another_kind__aborts) {
  Registry registry;
  registry.AddCounter("x_total", "X.");
  EXPECT_DEATH(registry.AddGauge("x_total", "X."), "x_total is registered with two kinds");
}

}  // namespace
}  // namespace flightrec::metrics
