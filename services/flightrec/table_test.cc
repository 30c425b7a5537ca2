#include "services/flightrec/table.h"

#include <gtest/gtest.h>

#include <string>

namespace flightrec::cli {
namespace {

Table TwoFunctions() {
  return {{{"function"}, {"calls"}, {"total_ns"}},
          {{std::string("parse(std::string)"), uint64_t{1234567}, Nanoseconds{1500}},
           {std::string("f\tg"), uint64_t{8}, Nanoseconds{2000000000}}}};
}

TEST(Table, for_people__then_aligns_groups_digits_and_gives_units) {
  EXPECT_EQ(Format(TwoFunctions(), OutputFormat::kTable),
            "FUNCTION                CALLS    TOTAL\n"
            "parse(std::string)  1,234,567  1.50 us\n"
            "f\\tg                        8   2.00 s\n");
}

TEST(Table, tsv__then_has_a_header_plain_digits_and_no_tab_inside_a_cell) {
  EXPECT_EQ(Format(TwoFunctions(), OutputFormat::kTsv),
            "function\tcalls\ttotal_ns\n"
            "parse(std::string)\t1234567\t1500\n"
            "f\\tg\t8\t2000000000\n");
}

TEST(Table, json__then_keeps_the_order_of_columns) {
  EXPECT_EQ(Format({{{"b"}, {"a"}}, {{uint64_t{1}, std::monostate()}}}, OutputFormat::kJson),
            "[\n  {\n    \"b\": 1,\n    \"a\": null\n  }\n]\n");
}

TEST(Table, two_columns_with_one_name__then_json_keeps_both) {
  EXPECT_EQ(Format({{{"a"}, {"a"}}, {{uint64_t{1}, uint64_t{2}}}}, OutputFormat::kJson),
            "[\n  {\n    \"a\": 1,\n    \"a_2\": 2\n  }\n]\n");
}

TEST(Table, control_characters__then_neither_reach_the_terminal_nor_break_a_line_for_programs) {
  const Table table{{{"a\tb"}}, {{std::string("x\x1b[31m\n")}}};
  EXPECT_EQ(Format(table, OutputFormat::kTable), "A\\TB\nx\\x1b[31m\n\n");
  EXPECT_EQ(Format(table, OutputFormat::kTsv), "a\\tb\nx\\x1b[31m\\n\n");
}

TEST(Table, no_rows__then_still_has_its_header) {
  EXPECT_EQ(Format({{{"name"}, {"calls"}}, {}}, OutputFormat::kTsv), "name\tcalls\n");
}

TEST(BriefName, short_name__then_is_kept) {
  EXPECT_EQ(BriefName("f(std::vector<int> const&)"), "f(std::vector<int> const&)");
}

TEST(BriefName, long_name__then_template_and_function_arguments_are_left_out) {
  EXPECT_EQ(BriefName("void std::vector<std::thread, std::allocator<std::thread> "
                      ">::_M_realloc_insert<int&>(int&, long)"),
            "void std::vector<...>::_M_realloc_insert<...>(...)");
  EXPECT_EQ(BriefName("(anonymous namespace)::Parse(std::basic_string_view<char, "
                      "std::char_traits<char> >, int) const"),
            "(anonymous namespace)::Parse(...) const");
  EXPECT_EQ(
      BriefName(
          "std::ostream& operator<<(std::ostream&, std::map<std::string, std::string> const&)"),
      "std::ostream& operator<<(...)");
}

TEST(HumanTime, around_a_change_of_unit__then_never_prints_four_digits) {
  EXPECT_EQ(HumanTime(0), "0 ns");
  EXPECT_EQ(HumanTime(999), "999 ns");
  EXPECT_EQ(HumanTime(1000), "1.00 us");
  EXPECT_EQ(HumanTime(999400), "999 us");
  EXPECT_EQ(HumanTime(999600), "1.00 ms");
  EXPECT_EQ(HumanTime(12345678), "12.3 ms");
}

}  // namespace
}  // namespace flightrec::cli
