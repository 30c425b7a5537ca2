// Prints what CompareCopies finds in each file named, and as `metric value unit`
// lines. Exits 1 when a copy differs or fewer than 98 % are hooked.

#include <iostream>
#include <string>

#include "absl/status/statusor.h"
#include "services/tracer/patch/prologue_differential.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/symbols/module_reader.h"

namespace {

constexpr double kLeastHooked = 0.98;

bool Report(const std::string& path) {
  const absl::StatusOr<flightrec::symbols::Module> module = flightrec::symbols::ReadModule(path);
  if (!module.ok()) {
    std::cerr << "# " << module.status().message() << "\n";
    return false;
  }
  const auto report = flightrec::patch::CompareCopies(*module, {});
  if (!report.ok()) {
    std::cerr << "# " << path << ": " << report.status().message() << "\n";
    return false;
  }
  std::cerr << "# " << path << ": " << report->Text();
  const std::string metric = "relocation." + module->Basename();
  std::cout << metric << ".hooked " << 100 * report->HookedShare() << " percent\n"
            << metric << ".compared " << report->compared << " prologues\n"
            << metric << ".different " << report->different << " prologues\n"
            << std::flush;
  return report->different == 0 && report->HookedShare() >= kLeastHooked;
}

}  // namespace

int main(int argc, char** argv) {
  bool good = argc > 1;
  for (int i = 1; i < argc; ++i) good = Report(argv[i]) && good;
  return good ? 0 : 1;
}
