#include "common/metrics/registry.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace flightrec::metrics {
namespace {

// The text between the braces; label values escaped as Prometheus asks.
std::string Render(const Labels& labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    absl::StrAppend(&text, text.empty() ? "" : ",", name, "=\"",
                    absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}}),
                    "\"");
  }
  return text;
}

std::string Number(double value) { return absl::StrFormat("%.17g", value); }

void AppendSample(std::string& out, absl::string_view name, absl::string_view labels,
                  absl::string_view value) {
  absl::StrAppend(&out, name);
  if (!labels.empty()) absl::StrAppend(&out, "{", labels, "}");
  absl::StrAppend(&out, " ", value, "\n");
}

void AppendHistogram(std::string& out, const std::string& name, const std::string& labels,
                     const Histogram& histogram) {
  const Histogram::Snapshot snapshot = histogram.Read();
  const std::string comma = labels.empty() ? "" : ",";
  for (size_t i = 0; i < snapshot.counts.size(); ++i) {
    const std::string bound =
        i < histogram.bounds().size() ? absl::StrFormat("%g", histogram.bounds()[i]) : "+Inf";
    AppendSample(out, absl::StrCat(name, "_bucket"),
                 absl::StrCat(labels, comma, "le=\"", bound, "\""),
                 absl::StrCat(snapshot.counts[i]));
  }
  AppendSample(out, absl::StrCat(name, "_sum"), labels, Number(snapshot.sum));
  AppendSample(out, absl::StrCat(name, "_count"), labels, absl::StrCat(snapshot.counts.back()));
}

[[noreturn]] void AbortOnKindMismatch(absl::string_view name) {
  std::fprintf(stderr, "metric %s is registered with two kinds\n", std::string(name).c_str());
  std::abort();
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), buckets_(new std::atomic<uint64_t>[bounds_.size() + 1]()) {}

void Histogram::Observe(double v) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), v);
  buckets_[static_cast<size_t>(bucket - bounds_.begin())].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(v, std::memory_order_relaxed);
}

Histogram::Snapshot Histogram::Read() const {
  Snapshot snapshot;
  uint64_t total = 0;
  for (size_t i = 0; i <= bounds_.size(); ++i) {
    total += buckets_[i].load(std::memory_order_relaxed);
    snapshot.counts.push_back(total);
  }
  snapshot.sum = sum_.load(std::memory_order_relaxed);
  return snapshot;
}

std::vector<double> LatencyBounds() {
  return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
          0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};
}

Registry::Registry() = default;
Registry::~Registry() = default;

Registry::Series& Registry::FindOrAdd(absl::string_view name, absl::string_view help, Kind kind,
                                      const Labels& labels) {
  Family& family =
      families_.try_emplace(std::string(name), Family{kind, std::string(help), {}}).first->second;
  if (family.kind != kind) AbortOnKindMismatch(name);
  return family.series[Render(labels)];
}

Counter& Registry::AddCounter(absl::string_view name, absl::string_view help, Labels labels) {
  absl::MutexLock lock(&mutex_);
  Series& series = FindOrAdd(name, help, Kind::kCounter, labels);
  if (!series.counter) series.counter = std::make_unique<Counter>();
  return *series.counter;
}

Gauge& Registry::AddGauge(absl::string_view name, absl::string_view help, Labels labels) {
  absl::MutexLock lock(&mutex_);
  Series& series = FindOrAdd(name, help, Kind::kGauge, labels);
  if (!series.gauge) series.gauge = std::make_unique<Gauge>();
  return *series.gauge;
}

Histogram& Registry::AddHistogram(absl::string_view name, absl::string_view help,
                                  std::vector<double> bounds, Labels labels) {
  absl::MutexLock lock(&mutex_);
  Series& series = FindOrAdd(name, help, Kind::kHistogram, labels);
  if (!series.histogram) {
    series.histogram = std::make_unique<Histogram>(std::move(bounds));
  }
  return *series.histogram;
}

std::string Registry::Exposition() const {
  constexpr absl::string_view kKindNames[] = {"counter", "gauge", "histogram"};
  absl::MutexLock lock(&mutex_);
  std::string out;
  for (const auto& [name, family] : families_) {
    absl::StrAppend(&out, "# HELP ", name, " ", family.help, "\n# TYPE ", name, " ",
                    kKindNames[static_cast<size_t>(family.kind)], "\n");
    for (const auto& [labels, series] : family.series) {
      if (series.counter) {
        AppendSample(out, name, labels, absl::StrCat(series.counter->value()));
      } else if (series.gauge) {
        AppendSample(out, name, labels, Number(series.gauge->value()));
      } else {
        AppendHistogram(out, name, labels, *series.histogram);
      }
    }
  }
  return out;
}

}  // namespace flightrec::metrics
