// Finds the unwinder of a program without symbols that has libgcc's linked in: who hooks functions
// must answer its questions, and its own functions cannot be hooked. Pure function, thread-safe.

#ifndef SERVICES_TRACER_SYMBOLS_NAMELESS_UNWINDER_H_
#define SERVICES_TRACER_SYMBOLS_NAMELESS_UNWINDER_H_

#include "services/tracer/symbols/module.h"

namespace flightrec::symbols {

// Sets the kinds of nameless functions: of the lookup (_Unwind_Find_FDE) and of those that call it
// or walk frames. Sets `unwinder_is_hidden` if there is an unwinder and its lookup is not found.
// Needs the functions with their sizes.
void FindNamelessUnwinder(Module& module);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_NAMELESS_UNWINDER_H_
