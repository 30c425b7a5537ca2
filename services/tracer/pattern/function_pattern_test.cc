#include "services/tracer/pattern/function_pattern.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::pattern {
namespace {

using symbols::Function;
using symbols::Module;

Function Named(const std::string& symbol, const std::string& name, const std::string& short_name) {
  Function function;
  function.symbol = symbol;
  function.name = name;
  function.short_name = short_name;
  return function;
}

// The main executable and one library.
class FunctionPatternTest : public testing::Test {
 protected:
  FunctionPatternTest() {
    program_.path = "/opt/app/server";
    program_.functions = {Named("main", "main", "main"),
                          Named("_ZN2ns3runEi", "ns::run(int)", "ns::run"),
                          Named("_ZN2ns3logEPKc", "ns::log(char const*)", "ns::log")};
    library_.path = "/usr/lib/libz.so.1";
    library_.functions = {Named("deflate", "deflate", "deflate"),
                          Named("inflate", "inflate", "inflate")};
    library_.functions[0].aliases = {"z_deflate"};
  }

  absl::StatusOr<std::vector<Selection>> Select(const std::vector<std::string>& values) {
    auto pattern = FunctionPattern::Parse(values);
    if (!pattern.ok()) return pattern.status();
    const ModuleRef modules[] = {{&program_, true}, {&library_, false}};
    return pattern->Select(modules);
  }

  // Short names of what is selected, in order.
  std::vector<std::string> Names(const std::vector<std::string>& values) {
    const auto selections = Select(values);
    if (!selections.ok()) return {std::string(selections.status().message())};
    std::vector<std::string> names;
    for (const Selection& selection : *selections) {
      const Module& module = selection.module == 0 ? program_ : library_;
      for (const uint32_t f : selection.functions) {
        names.push_back(module.functions[f].short_name);
      }
    }
    return names;
  }

  Module program_;
  Module library_;
};

using StringList = std::vector<std::string>;

TEST_F(FunctionPatternTest, star__then_all_of_the_main_executable) {
  EXPECT_EQ(Names({"*"}), (StringList{"main", "ns::run", "ns::log"}));
}

TEST_F(FunctionPatternTest, two_stars__then_all_of_every_module) {
  EXPECT_EQ(Names({"**"}), (StringList{"main", "ns::run", "ns::log", "deflate", "inflate"}));
}

TEST_F(FunctionPatternTest, name_with_or_without_arguments_or_symbol__then_selected) {
  EXPECT_EQ(Names({"ns::run"}), StringList{"ns::run"});
  EXPECT_EQ(Names({"ns::run(int)"}), StringList{"ns::run"});
  EXPECT_EQ(Names({"_ZN2ns3runEi"}), StringList{"ns::run"});
}

TEST_F(FunctionPatternTest, comma_or_several_values__then_union) {
  EXPECT_EQ(Names({"main,ns::log"}), (StringList{"main", "ns::log"}));
  EXPECT_EQ(Names({"ns::log", "main"}), (StringList{"main", "ns::log"}));
}

TEST_F(FunctionPatternTest, module_term__then_library_functions_and_aliases) {
  EXPECT_EQ(Names({"libz.so*:*flate"}), (StringList{"deflate", "inflate"}));
  EXPECT_EQ(Names({"libz.so.1:z_deflate"}), StringList{"deflate"});
}

TEST_F(FunctionPatternTest, exclusion__then_taken_away_wherever_it_stands) {
  EXPECT_EQ(Names({"!ns::log,*"}), (StringList{"main", "ns::run"}));
  EXPECT_EQ(Names({"**", "!libz*:*", "!main"}), (StringList{"ns::run", "ns::log"}));
}

TEST_F(FunctionPatternTest, only_exclusions__then_rest_of_the_main_executable) {
  EXPECT_EQ(Names({"!ns::*"}), StringList{"main"});
}

TEST_F(FunctionPatternTest, comma_inside_brackets__then_one_term) {
  program_.functions.push_back(Named("_Z", "max<int, int>(int, int)", "max<int, int>"));
  EXPECT_EQ(Names({"max<int, int>(int, int),main"}), (StringList{"main", "max<int, int>"}));
}

TEST_F(FunctionPatternTest, operator_with_brackets_in_its_name__then_one_term) {
  program_.functions.push_back(Named("_Zlt", "operator<(A, A)", "operator<"));
  EXPECT_EQ(Names({"operator<,main"}), (StringList{"main", "operator<"}));
}

TEST_F(FunctionPatternTest, nothing_matches__then_close_names_and_count) {
  const absl::Status status = Select({"main,ns::rum"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            "function pattern \"ns::rum\" matches none of 3 functions; close names: ns::run");
}

TEST_F(FunctionPatternTest, module_unknown__then_lists_modules) {
  const absl::Status status = Select({"libssl*:SSL_read"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            "function pattern \"libssl*:SSL_read\" matches none of 0 functions; the modules are: "
            "server, libz.so.1");
}

TEST_F(FunctionPatternTest, malformed_term__then_says_where_and_gives_an_example) {
  const struct {
    const char* value;
    const char* message;
  } kCases[] = {
      {"", "a name is missing, at character 1; for example main,ns::Foo::*"},
      {"main,!", "a name is missing, at character 7; for example main,ns::Foo::*"},
      {"main, ,x", "a name is missing, at character 7; for example main,ns::Foo::*"},
      {"libz.so:",
       "the name is missing after \":\", at character 9; for example libz.so*:deflate*"},
      {"main,:run",
       "the module is missing before \":\", at character 6; for example libz.so*:deflate*"},
      {"libz.so:!run",
       "\"!\" stands before the module, at character 9; for example !libz.so*:inflate*"},
      {"@file:",
       "the file is missing after \"@file:\", at character 7; for example @file:src/*.cc"},
      {"main,@users",
       "what starts with \"@\" is @usercode or @file:GLOB, at character 6; for example "
       "@file:src/*.cc"},
  };
  for (const auto& bad : kCases) {
    const absl::Status status = Select({bad.value}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.value;
    EXPECT_EQ(status.message(),
              "function pattern \"" + std::string(bad.value) + "\": " + bad.message);
  }
  EXPECT_EQ(Select({}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FunctionPatternTest, name__then_parts_made_of_the_function_too) {
  program_.functions.push_back(
      Named("_ZN2ns3runEi.part.0", "ns::run(int) [clone .part.0]", "ns::run"));
  program_.functions.push_back(Named("main.constprop.0", "main [clone .constprop.0]", "main"));
  EXPECT_EQ(Names({"ns::run(int)"}), (StringList{"ns::run", "ns::run"}));
  EXPECT_EQ(Names({"_ZN2ns3runEi"}), (StringList{"ns::run", "ns::run"}));
  EXPECT_EQ(Names({"main"}), (StringList{"main", "main"}));
  EXPECT_EQ(Names({"main.constprop.0"}), StringList{"main"});
}

TEST_F(FunctionPatternTest, user_code__then_program_without_the_standard_library) {
  program_.functions.push_back(Named("_ZSt", "std::sort(int)", "std::sort"));
  EXPECT_EQ(Names({"@usercode"}), (StringList{"main", "ns::run", "ns::log"}));
  library_.path = "/opt/app/libz.so.1";
  EXPECT_EQ(Names({"@usercode"}), (StringList{"main", "ns::run", "ns::log", "deflate", "inflate"}));
  EXPECT_EQ(Names({"libz*:@usercode"}), (StringList{"deflate", "inflate"}));
  EXPECT_EQ(Names({"**,!@usercode"}), StringList{"std::sort"});
}

TEST_F(FunctionPatternTest, file_without_debug_information__then_says_how_to_get_it) {
  const absl::Status status = Select({"@file:server.cc"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            "function pattern \"@file:server.cc\" matches none of 3 functions; none of them has a "
            "source file: compile with -g or install debug symbols");
}

TEST_F(FunctionPatternTest, wants_lines__then_only_where_a_term_asks_for_sources) {
  const auto pattern = FunctionPattern::Parse({"**,@file:x.cc,libz*:@file:y.cc"});
  ASSERT_TRUE(pattern.ok()) << pattern.status();
  EXPECT_TRUE(pattern->WantsLines("/usr/bin/server", true));
  EXPECT_TRUE(pattern->WantsLines("/opt/app/libown.so", false));
  EXPECT_TRUE(pattern->WantsLines("/usr/lib/x86_64-linux-gnu/libz.so.1", false));
  EXPECT_FALSE(pattern->WantsLines("/usr/lib/x86_64-linux-gnu/libc.so.6", false));
  EXPECT_FALSE(FunctionPattern::Parse({"**"})->WantsLines("/usr/bin/server", true));
}

TEST_F(FunctionPatternTest, wants_module__then_only_where_a_term_includes) {
  const auto pattern = FunctionPattern::Parse({"main,libz*:*,!libc*:*"});
  ASSERT_TRUE(pattern.ok()) << pattern.status();
  EXPECT_TRUE(pattern->WantsModule("server", true));
  EXPECT_TRUE(pattern->WantsModule("libz.so.1", false));
  EXPECT_FALSE(pattern->WantsModule("libc.so.6", false));
}

}  // namespace
}  // namespace flightrec::pattern
