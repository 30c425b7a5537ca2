// Values of the types that have no place of their own in an answer (HUGEINT,
// DECIMAL, times, UUID, lists, structs, ...), as the engine writes them.
//
// Pure functions. Types that the C API has no value for become a text that
// asks for a cast.
#ifndef SERVICES_QUERY_ENGINE_ENGINE_ENGINE_VALUE_H_
#define SERVICES_QUERY_ENGINE_ENGINE_ENGINE_VALUE_H_

#include <string>

#include "duckdb.h"

namespace flightrec::query_engine {

std::string EngineText(duckdb_vector vector, duckdb_logical_type type, idx_t row);

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_ENGINE_ENGINE_VALUE_H_
