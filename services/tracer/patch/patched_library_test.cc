// Programs keep working when every function of a library runs through its
// relocated prologue. The tests patch the libraries of this process for good,
// so each works on what the earlier ones have patched.

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <locale>
#include <map>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "services/tracer/patch/patched_process.h"

namespace flightrec::patch {
namespace {

void Patch(const std::string& name) {
  const absl::StatusOr<size_t> patched = PatchLoadedLibrary(name);
  ASSERT_TRUE(patched.ok()) << patched.status();
  std::cout << name << ": " << *patched << " functions patched\n";
  ASSERT_GT(*patched, 50u);
}

// The library stays loaded; nullptr when it is not installed.
void* Load(const char* name) { return dlopen(name, RTLD_NOW); }

template <typename Signature>
Signature* Symbol(void* library, const char* name) {
  return reinterpret_cast<Signature*>(dlsym(library, name));
}

TEST(PatchedLibrary, zlib__then_data_survives_a_round_trip) {
  void* zlib = Load("libz.so.1");
  if (zlib == nullptr) return;
  Patch("libz.so");
  using Convert = int(unsigned char*, unsigned long*, const unsigned char*, unsigned long);
  std::vector<unsigned char> input(300000);
  for (size_t i = 0; i < input.size(); ++i) input[i] = static_cast<unsigned char>(i * i >> 7);
  std::vector<unsigned char> packed(input.size() * 2);
  unsigned long packed_size = packed.size();
  ASSERT_EQ(
      Symbol<Convert>(zlib, "compress")(packed.data(), &packed_size, input.data(), input.size()),
      0);
  std::vector<unsigned char> output(input.size());
  unsigned long output_size = output.size();
  ASSERT_EQ(
      Symbol<Convert>(zlib, "uncompress")(output.data(), &output_size, packed.data(), packed_size),
      0);
  EXPECT_EQ(output, input);
}

int KeepLastValue(void* value, int columns, char** fields, char**) {
  if (columns > 0) *static_cast<std::string*>(value) = fields[0] == nullptr ? "" : fields[0];
  return 0;
}

TEST(PatchedLibrary, sqlite__then_queries_give_the_same) {
  void* sqlite = Load("libsqlite3.so.0");
  if (sqlite == nullptr) return;
  Patch("libsqlite3.so");
  void* database = nullptr;
  ASSERT_EQ(Symbol<int(const char*, void**)>(sqlite, "sqlite3_open")(":memory:", &database), 0);
  using Callback = int(void*, int, char**, char**);
  using Execute = int(void*, const char*, Callback*, void*, char**);
  std::string value;
  const char* script =
      "create table t(a integer primary key, b text);"
      "with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)"
      " insert into t select i, hex(i * 7) from n;"
      "create index u on t(b); delete from t where a % 3 = 0;"
      "select sum(a) || ' ' || group_concat(distinct length(b)) from t where b like '3%';";
  EXPECT_EQ(
      Symbol<Execute>(sqlite, "sqlite3_exec")(database, script, &KeepLastValue, &value, nullptr),
      0);
  EXPECT_EQ(value, "133346667 2,4,6,8,10,12");
  EXPECT_EQ(Symbol<int(void*)>(sqlite, "sqlite3_close")(database), 0);
}

TEST(PatchedLibrary, crypto__then_digest_is_known) {
  void* crypto = Load("libcrypto.so.3");
  if (crypto == nullptr) return;
  Patch("libcrypto.so");
  unsigned char digest[32] = {};
  using Sha256 = unsigned char*(const void*, size_t, unsigned char*);
  ASSERT_NE(Symbol<Sha256>(crypto, "SHA256")("abc", 3, digest), nullptr);
  EXPECT_EQ(digest[0], 0xba);
  EXPECT_EQ(digest[31], 0xad);
  unsigned char random[64] = {};
  EXPECT_EQ(Symbol<int(unsigned char*, int)>(crypto, "RAND_bytes")(random, sizeof(random)), 1);
}

int ThrowThrough(int depth) {
  if (depth == 0) return std::stoi("not a number");
  try {
    return ThrowThrough(depth - 1);
  } catch (const std::out_of_range&) {
    return -1;
  }
}

TEST(PatchedLibrary, libstdcxx__then_streams_and_exceptions_work) {
  Patch("libstdc++.so");
  Patch("libgcc_s.so");
  std::ostringstream out;
  out << std::hex << 255 << ' ' << 3.5 << ' ' << std::boolalpha << true;
  EXPECT_EQ(out.str(), "ff 3.5 true");
  EXPECT_THROW(ThrowThrough(20), std::invalid_argument);
  EXPECT_THROW(std::string("abc").substr(7), std::out_of_range);
  EXPECT_THROW(std::locale("no such locale"), std::runtime_error);
  EXPECT_TRUE(std::regex_match("2026-11-21", std::regex("(\\d+)-(\\d+)-(\\d+)")));
  try {
    std::vector<int>().at(1);
  } catch (...) {
    EXPECT_THROW(std::rethrow_exception(std::current_exception()), std::out_of_range);
  }
}

TEST(PatchedLibrary, libc__then_files_numbers_threads_and_processes_work) {
  Patch("libc.so.6");
  char text[64];
  std::snprintf(text, sizeof(text), "%d %s %.3f %a", 42, "x", M_PI, 0.5);
  EXPECT_STREQ(text, "42 x 3.142 0x1p-1");
  EXPECT_DOUBLE_EQ(std::strtod("1e-3", nullptr), 0.001);
  std::vector<int> numbers = {5, 3, 9, 1};
  std::qsort(numbers.data(), numbers.size(), sizeof(int), [](const void* a, const void* b) {
    return *static_cast<const int*>(a) - *static_cast<const int*>(b);
  });
  EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  std::fputs("line\n", file);
  std::rewind(file);
  EXPECT_NE(std::fgets(text, sizeof(text), file), nullptr);
  std::fclose(file);
  int sum = 0;
  std::thread([&sum] { sum = 7; }).join();
  EXPECT_EQ(sum, 7);
  const pid_t child = fork();
  if (child == 0) _exit(std::atoi("5"));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 5);
  EXPECT_EQ(WEXITSTATUS(std::system("exit 3")), 3);
}

}  // namespace
}  // namespace flightrec::patch
