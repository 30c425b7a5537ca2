// Finds out what `flightrec doctor` judges. Looks at this machine only: starts a child of its own
// to trace it, measures a hook in its own memory, and leaves nothing behind.

#ifndef SERVICES_FLIGHTREC_DOCTOR_FACTS_H_
#define SERVICES_FLIGHTREC_DOCTOR_FACTS_H_

#include <string>

#include "services/flightrec/command_line.h"
#include "services/flightrec/doctor.h"

namespace flightrec::cli {

// Not in a process with other threads: it forks.
DoctorFacts ReadDoctorFacts(const CommandLine& line);

// The nearest folder of `path` that is there already.
std::string ExistingPart(const std::string& path);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_DOCTOR_FACTS_H_
