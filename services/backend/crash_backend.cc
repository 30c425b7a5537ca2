// A backend that kills itself, as kill -9 does, at a step of its writes. For crash_test only.
//
//   crash_backend STORE STEP COUNT     STEP as faulty_file_system.h has it, or none; its COUNTth
//   time
//
// Prints where it listens.
#include <rocksdb/env.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <iostream>
#include <memory>
#include <string>

#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "services/backend/backend_config.h"
#include "services/backend/backend_server.h"
#include "services/backend/store/faulty_file_system.h"
#include "services/backend/store/test_workload.h"

int main(int argc, char** argv) {
  using namespace flightrec;
  if (argc != 4) return 2;
  const std::string step = argv[2];
  std::atomic<int> left = std::atoi(argv[3]);
  const auto system =
      std::make_shared<backend::FaultyFileSystem>([&step, &left](absl::string_view reached) {
        if (reached == step && --left == 0) kill(getpid(), SIGKILL);
        return rocksdb::IOStatus::OK();
      });
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(system);
  backend::DatabaseOptions options = backend::SmallFiles();
  options.env = env.get();
  backend::BackendConfig config;
  config.store_directory = argv[1];
  config.server.listen = "127.0.0.1:0";
  log::Logger logger("backend", log::Level::kError);
  metrics::Registry registry;
  const auto server =
      backend::BackendServer::Start(backend::Finalize(config).value(), &logger, &registry, options);
  if (!server.ok()) {
    std::cerr << server.status() << "\n";
    return 1;
  }
  std::cout << (*server)->address() << std::endl;
  pause();
  return 0;
}
