// The programs of tests/load/ingest, by the first argument:
//   produce ADDRESS PRODUCERS CALLS RATE   sends CALLS prepared calls by PRODUCERS streams and
//   waits until they
//                                          are durable; RATE: calls a second over all, 0 for as
//                                          fast as it goes
//   sink ADDRESS                           takes the same streams and forgets them; ends with its
//   stdin write FILE GROUP_BYTES BYTES           writes BYTES to a new FILE, synced after each
//   group
//   calls FILE CALLS                       writes CALLS calls, or a few more, to FILE: rows of
//   ClickHouse's RowBinary
//                                          with thread, call, path, function, start and duration
// Prints `name value` lines.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/chunk/codec.h"
#include "common/clock/calibration.h"
#include "tests/load/load_producer.h"
#include "tests/load/prepared_batches.h"
#include "tests/load/sink_server.h"

namespace flightrec::load {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double Quantile(std::vector<double>& values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

int Produce(const std::string& address, size_t producers, uint64_t calls, double rate) {
  const std::vector<ChunkBody> bodies = MakeChunkBodies();
  std::vector<std::vector<PreparedBatch>> batches;
  std::vector<std::unique_ptr<LoadProducer>> streams;
  for (size_t i = 0; i < producers; ++i) {
    const ids::Ulid recording = RecordingOf(static_cast<uint32_t>(i));
    batches.push_back(MakeBatches(bodies, recording, calls / producers));
    grpc::ChannelArguments arguments;
    // A connection for each, as tracers have.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    streams.push_back(std::make_unique<LoadProducer>(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments),
        recording.ToString()));
    streams.back()->Greet(batches.back().front());
    batches.back().erase(batches.back().begin());
  }
  const double cpu = CpuSeconds();
  const Clock::time_point begin = Clock::now();
  std::vector<std::thread> threads;
  for (size_t i = 0; i < producers; ++i) {
    threads.emplace_back(
        [&, i] { streams[i]->Send(batches[i], rate / static_cast<double>(producers)); });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = SecondsSince(begin);
  uint64_t sent_calls = 0;
  uint64_t sent_bytes = 0;
  std::vector<double> latencies;
  for (size_t i = 0; i < producers; ++i) {
    for (const PreparedBatch& batch : batches[i]) {
      sent_calls += batch.calls;
      sent_bytes += batch.batch_bytes;
    }
    latencies.insert(latencies.end(), streams[i]->latencies().begin(),
                     streams[i]->latencies().end());
  }
  std::printf("seconds %f\ncpu_seconds %f\ncalls %llu\nbytes %llu\nack_p50_ms %f\nack_p99_ms %f\n",
              seconds, CpuSeconds() - cpu, static_cast<unsigned long long>(sent_calls),
              static_cast<unsigned long long>(sent_bytes), 1e3 * Quantile(latencies, 0.5),
              1e3 * Quantile(latencies, 0.99));
  return 0;
}

int Sink(const std::string& address) {
  const SinkServer server(address);
  std::cout << "ready 1" << std::endl;
  while (std::cin.get() != EOF) continue;
  return 0;
}

int Write(const char* file, size_t group_bytes, uint64_t bytes) {
  std::string group;
  for (const ChunkBody& body : MakeChunkBodies()) group += body.bytes;
  while (group.size() < group_bytes) group += group;
  group.resize(group_bytes);
  const int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    std::perror(file);
    return 1;
  }
  const Clock::time_point begin = Clock::now();
  uint64_t written = 0;
  while (written < bytes) {
    size_t at = 0;
    while (at < group.size()) {
      const ssize_t n = write(fd, group.data() + at, group.size() - at);
      if (n < 0) {
        std::perror(file);
        return 1;
      }
      at += static_cast<size_t>(n);
    }
    if (fdatasync(fd) != 0) {
      std::perror(file);
      return 1;
    }
    written += group.size();
  }
  std::printf("seconds %f\nbytes %llu\n", SecondsSince(begin),
              static_cast<unsigned long long>(written));
  close(fd);
  return 0;
}

void AppendRow(const chunk::CallChunk& chunk, size_t call, uint64_t thread, std::string& rows) {
  const chunk::PathEntry& path = chunk.paths[chunk.calls.path_index[call]];
  const uint64_t start = chunk.calls.start_ticks[call];
  const int64_t start_ns = clock::ToEpochNs(chunk.header.calibration, start);
  const int64_t end_ns =
      clock::ToEpochNs(chunk.header.calibration, start + chunk.calls.duration_ticks[call]);
  const uint64_t row[] = {
      thread,           chunk.calls.ordinal[call],       path.path_id,
      path.function_id, static_cast<uint64_t>(start_ns), static_cast<uint64_t>(end_ns - start_ns)};
  rows.append(reinterpret_cast<const char*>(row), sizeof(row));
}

int Calls(const char* file, uint64_t calls) {
  std::ofstream out(file, std::ios::binary);
  uint64_t written = 0;
  const std::vector<ChunkBody> bodies = MakeChunkBodies();
  for (uint64_t thread = 1; written < calls; ++thread) {
    const chunk::CallChunk chunk =
        chunk::DecodeCallChunk(bodies[thread % bodies.size()].bytes).value();
    std::string rows;
    for (size_t i = 0; i < chunk.calls.size(); ++i) AppendRow(chunk, i, thread, rows);
    out << rows;
    written += chunk.calls.size();
  }
  out.close();
  std::printf("calls %llu\n", static_cast<unsigned long long>(written));
  return out.fail() ? 1 : 0;
}

int Run(const std::vector<std::string>& arguments) {
  if (arguments.size() == 5 && arguments[0] == "produce") {
    return Produce(arguments[1], std::stoul(arguments[2]), std::stoull(arguments[3]),
                   std::stod(arguments[4]));
  }
  if (arguments.size() == 2 && arguments[0] == "sink") return Sink(arguments[1]);
  if (arguments.size() == 4 && arguments[0] == "write") {
    return Write(arguments[1].c_str(), std::stoul(arguments[2]), std::stoull(arguments[3]));
  }
  if (arguments.size() == 3 && arguments[0] == "calls") {
    return Calls(arguments[1].c_str(), std::stoull(arguments[2]));
  }
  std::cerr << "usage: ingest_load produce ADDRESS PRODUCERS CALLS RATE | sink ADDRESS | "
               "write FILE GROUP_BYTES BYTES | calls FILE CALLS\n";
  return 2;
}

}  // namespace
}  // namespace flightrec::load

int main(int argc, char** argv) {
  return flightrec::load::Run(std::vector<std::string>(argv + 1, argv + argc));
}
