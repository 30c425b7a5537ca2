#include "services/tracer/pattern/user_code.h"

#include "gtest/gtest.h"

namespace flightrec::pattern {
namespace {

TEST(UserCode, library_below_a_system_folder__then_the_systems) {
  EXPECT_TRUE(IsSystemLibrary("/lib/x86_64-linux-gnu/libc.so.6"));
  EXPECT_TRUE(IsSystemLibrary("/usr/lib/x86_64-linux-gnu/libstdc++.so.6"));
  EXPECT_TRUE(IsSystemLibrary("/usr/local/lib/libfoo.so"));
  EXPECT_FALSE(IsSystemLibrary("/opt/app/lib/libfoo.so"));
  EXPECT_FALSE(IsSystemLibrary("/src/me/usr/lib/libfoo.so"));
  EXPECT_FALSE(IsSystemLibrary("libfoo.so"));
}

TEST(UserCode, source_of_compiler_or_package_manager__then_the_systems) {
  EXPECT_TRUE(IsSystemSource("/usr/include/c++/12/bits/stl_vector.h"));
  EXPECT_TRUE(IsSystemSource("/opt/llvm/include/c++/v1/vector"));
  EXPECT_TRUE(IsSystemSource("/usr/lib/gcc/x86_64-linux-gnu/12/include/immintrin.h"));
  EXPECT_TRUE(IsSystemSource("/rustc/59807616e1fa/library/core/src/fmt/mod.rs"));
  EXPECT_TRUE(IsSystemSource("/src/me/.cargo/registry/src/index/serde-1.0/src/lib.rs"));
  EXPECT_FALSE(IsSystemSource("/src/me/app/include/parser.h"));
  EXPECT_FALSE(IsSystemSource("src/parser.cc"));
}

TEST(UserCode, name_in_the_namespace_of_the_standard_library__then_standard) {
  EXPECT_TRUE(IsStandardName("std::vector<int>::push_back"));
  EXPECT_TRUE(IsStandardName("__gnu_cxx::new_allocator<int>::allocate"));
  EXPECT_FALSE(IsStandardName("stdlike::run"));
  EXPECT_FALSE(IsStandardName("app::std::run"));
}

TEST(SourceMatches, whole_path_or_its_end_from_a_name_on__then_true) {
  const char kPath[] = "/src/me/src/parser.cc";
  for (const char* glob : {"/src/me/src/parser.cc", "parser.cc", "src/*.cc", "*/src/*", "pars*",
                           "*.cc", "me/*", "/src/*"}) {
    EXPECT_TRUE(SourceMatches(glob, kPath)) << glob;
  }
  for (const char* glob : {"arser.cc", "parser", "/me/*.cc", "src", "*.h"}) {
    EXPECT_FALSE(SourceMatches(glob, kPath)) << glob;
  }
}

TEST(SourceMatches, relative_path__then_from_its_beginning_too) {
  EXPECT_TRUE(SourceMatches("src/*.cc", "src/parser.cc"));
  EXPECT_FALSE(SourceMatches("*", ""));
}

}  // namespace
}  // namespace flightrec::pattern
