// The file descriptors that this process was started with, for the program it starts. Called once,
// at the beginning of main and before any other thread exists. Closes nothing.

#ifndef SERVICES_FLIGHTREC_INHERITED_DESCRIPTORS_H_
#define SERVICES_FLIGHTREC_INHERITED_DESCRIPTORS_H_

#include <vector>

namespace flightrec::cli {

// Those above 2. Of 0, 1 and 2 those that are closed become /dev/null here, so that no file of ours
// gets their number and what is printed does not go into it; they are closed again in programs we
// start.
std::vector<int> TakeInheritedDescriptors();

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_INHERITED_DESCRIPTORS_H_
