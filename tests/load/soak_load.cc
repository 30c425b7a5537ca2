// The clients of tests/load/connections and tests/load/soak, by the first argument:
//   hold ADDRESS PRODUCERS ROUNDS          opens PRODUCERS connections with an ingest session each,
//   prints `ready`, waits
//                                          for a line on stdin, then sends a small chunk on each,
//                                          ROUNDS times, and waits for another line before it ends
//   produce ADDRESS PRODUCERS RATE SECONDS sends RATE calls a second in all by PRODUCERS streams,
//   one recording after
//                                          the other
//   read ADDRESS PAUSE_MS SECONDS          follows the newest recording again and again, PAUSE_MS
//   after each chunk;
//                                          -1: reads nothing but keeps the stream open
// Prints `name value` lines.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "flightrec/read/v1/read.grpc.pb.h"
#include "tests/load/load_producer.h"
#include "tests/load/prepared_batches.h"

namespace flightrec::load {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kSmallChunkCalls = 1000;
// Of one recording of `produce`.
constexpr double kRecordingSeconds = 5;

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  // A connection of its own.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

void PrintLatencies(std::vector<double> latencies) {
  std::sort(latencies.begin(), latencies.end());
  const auto quantile = [&latencies](double q) {
    return 1e3 * latencies[static_cast<size_t>(q * static_cast<double>(latencies.size() - 1))];
  };
  std::printf("acks %zu\nack_p50_ms %f\nack_p99_ms %f\nack_max_ms %f\n", latencies.size(),
              quantile(0.5), quantile(0.99), quantile(1));
}

void WaitForLine() {
  std::string line;
  std::getline(std::cin, line);
}

int Hold(const std::string& address, uint32_t producers, uint64_t rounds) {
  const std::vector<ChunkBody> bodies = MakeChunkBodies(kSmallChunkCalls);
  std::vector<std::unique_ptr<LoadProducer>> streams;
  std::vector<ids::Ulid> recordings;
  for (uint32_t i = 0; i < producers; ++i) {
    recordings.push_back(RecordingOf(i));
    streams.push_back(
        std::make_unique<LoadProducer>(Connect(address), recordings.back().ToString()));
    streams.back()->Greet(MakeBatches(bodies, recordings.back(), 1)[0]);
  }
  std::cout << "ready 1" << std::endl;
  WaitForLine();
  std::vector<double> latencies;
  const Clock::time_point begin = Clock::now();
  for (uint64_t round = 0; round < rounds; ++round) {
    for (uint32_t i = 0; i < producers; ++i) {
      // A batch of one chunk; the ordinal is the round.
      streams[i]->WriteBatch(MakeChunkBatch(bodies, recordings[i], round, round + 2));
    }
    for (const auto& stream : streams) stream->WaitUntilDurable();
  }
  std::printf("seconds %f\n", std::chrono::duration<double>(Clock::now() - begin).count());
  for (const auto& stream : streams) {
    latencies.insert(latencies.end(), stream->latencies().begin(), stream->latencies().end());
  }
  PrintLatencies(std::move(latencies));
  std::cout << std::flush;
  WaitForLine();
  return 0;
}

// One recording after the other until the end comes.
std::vector<double> SendUntil(const std::string& address, uint32_t number, double rate,
                              Clock::time_point end) {
  const std::vector<ChunkBody> bodies = MakeChunkBodies();
  LoadProducer stream(Connect(address), RecordingOf(number).ToString());
  uint64_t next_sequence = 1;
  while (Clock::now() < end) {
    const std::vector<PreparedBatch> batches =
        MakeBatches(bodies, RecordingOf(number), static_cast<uint64_t>(rate * kRecordingSeconds),
                    next_sequence);
    next_sequence += batches.size();
    stream.Send(batches, rate);
  }
  return stream.latencies();
}

int Produce(const std::string& address, uint32_t producers, double rate, int64_t seconds) {
  const Clock::time_point end = Clock::now() + std::chrono::seconds(seconds);
  std::vector<std::vector<double>> latencies(producers);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < producers; ++i) {
    threads.emplace_back([&, i] { latencies[i] = SendUntil(address, i, rate / producers, end); });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<double> all;
  for (const auto& some : latencies) all.insert(all.end(), some.begin(), some.end());
  PrintLatencies(std::move(all));
  return 0;
}

int Read(const std::string& address, int64_t pause_ms, int64_t seconds) {
  const auto stub = read::v1::ReadService::NewStub(Connect(address));
  const auto end = std::chrono::system_clock::now() + std::chrono::seconds(seconds);
  uint64_t chunks = 0;
  uint64_t skipped = 0;
  while (std::chrono::system_clock::now() < end) {
    grpc::ClientContext context;
    context.set_deadline(end);
    read::v1::TailChunksRequest request;
    request.set_parent("recordings/@latest");
    const auto reader = stub->TailChunks(&context, request);
    if (pause_ms < 0) std::this_thread::sleep_until(end);
    read::v1::TailChunksResponse frame;
    while (reader->Read(&frame)) {
      if (frame.has_chunk()) ++chunks;
      if (frame.has_gap())
        skipped += frame.gap().last_position() - frame.gap().first_position() + 1;
      std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    }
    const grpc::Status status = reader->Finish();
    // Before the first recording, and after one that retention has removed.
    const bool expected = status.ok() || status.error_code() == grpc::DEADLINE_EXCEEDED ||
                          status.error_code() == grpc::NOT_FOUND ||
                          status.error_code() == grpc::ABORTED;
    if (!expected) {
      std::cerr << "read: " << status.error_message() << "\n";
      return 1;
    }
  }
  std::printf("chunks %llu\nskipped %llu\n", static_cast<unsigned long long>(chunks),
              static_cast<unsigned long long>(skipped));
  return 0;
}

int Run(const std::vector<std::string>& arguments) {
  if (arguments.size() == 4 && arguments[0] == "hold") {
    return Hold(arguments[1], static_cast<uint32_t>(std::stoul(arguments[2])),
                std::stoull(arguments[3]));
  }
  if (arguments.size() == 5 && arguments[0] == "produce") {
    return Produce(arguments[1], static_cast<uint32_t>(std::stoul(arguments[2])),
                   std::stod(arguments[3]), std::stoll(arguments[4]));
  }
  if (arguments.size() == 4 && arguments[0] == "read") {
    return Read(arguments[1], std::stoll(arguments[2]), std::stoll(arguments[3]));
  }
  std::cerr << "usage: soak_load hold ADDRESS PRODUCERS ROUNDS | "
               "produce ADDRESS PRODUCERS RATE SECONDS | read ADDRESS PAUSE_MS SECONDS\n";
  return 2;
}

}  // namespace
}  // namespace flightrec::load

int main(int argc, char** argv) {
  return flightrec::load::Run(std::vector<std::string>(argv + 1, argv + argc));
}
