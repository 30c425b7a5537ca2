// Finds damage in the table files of a store, block by block.
//
// Thread-safe: a function that reads files. Does not look into blob files: chunks carry their own
// checksums.
#ifndef SERVICES_BACKEND_STORE_TABLE_FILES_H_
#define SERVICES_BACKEND_STORE_TABLE_FILES_H_

#include <string>
#include <vector>

namespace flightrec::backend {

// A sentence for each damaged table in the directory.
std::vector<std::string> FindDamagedTables(const std::string& directory);

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_TABLE_FILES_H_
