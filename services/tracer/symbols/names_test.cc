#include "services/tracer/symbols/names.h"

#include "gtest/gtest.h"

namespace flightrec::symbols {
namespace {

TEST(Demangle, cpp_symbol__then_has_arguments) {
  EXPECT_EQ(Demangle("_ZN2ns3fooEi"), "ns::foo(int)");
}

TEST(Demangle, c_symbol__then_unchanged) { EXPECT_EQ(Demangle("main"), "main"); }

TEST(Demangle, broken_symbol__then_unchanged) { EXPECT_EQ(Demangle("_ZN2ns"), "_ZN2ns"); }

TEST(Demangle, rust_symbols__then_without_hash) {
  EXPECT_EQ(Demangle("_ZN4core3fmt9Formatter3new17h0123456789abcdefE"),
            "core::fmt::Formatter::new");
  EXPECT_EQ(Demangle("_RNvC6_123foo3bar"), "123foo::bar");
}

TEST(Demangle, part_made_by_the_compiler__then_marked) {
  EXPECT_EQ(Demangle("_ZN2ns3fooEi.constprop.0"), "ns::foo(int) [clone .constprop.0]");
  EXPECT_EQ(Demangle("work.part.0.isra.1"), "work [clone .part.0] [clone .isra.1]");
  EXPECT_EQ(Demangle("work.cold"), "work [clone .cold]");
  EXPECT_EQ(Demangle("_ZN1a1b17h0123456789abcdefE.llvm.42"), "a::b [clone .llvm.42]");
  EXPECT_EQ(Demangle("_RNvC1a1b.llvm.42"), "a::b [clone .llvm.42]");
}

TEST(Demangle, symbol_with_other_dots__then_unchanged) {
  EXPECT_EQ(Demangle("main.main"), "main.main");
}

TEST(WithoutClone, marks_and_suffixes__then_gone) {
  EXPECT_EQ(WithoutCloneMark("foo(int) [clone .part.0] [clone .cold]"), "foo(int)");
  EXPECT_EQ(WithoutCloneMark("foo(int)"), "foo(int)");
  EXPECT_EQ(WithoutCloneSuffix("_Z3fooi.part.0.cold"), "_Z3fooi");
  EXPECT_EQ(WithoutCloneSuffix("main.main"), "main.main");
  EXPECT_EQ(WithoutCloneSuffix("."), ".");
  EXPECT_EQ(WithoutCloneSuffix(""), "");
}

TEST(ShortName, return_type_arguments_and_qualifiers__then_removed) {
  EXPECT_EQ(ShortName("int ns::max<int>(int, int) const"), "ns::max<int>");
  EXPECT_EQ(ShortName("ns::Foo::bar(std::map<int, int> const&) &&"), "ns::Foo::bar");
  EXPECT_EQ(ShortName("work(int) [clone .constprop.0]"), "work");
}

TEST(ShortName, abi_tag__then_removed) {
  EXPECT_EQ(ShortName("Describe[abi:cxx11](char const*, int)"), "Describe");
  EXPECT_EQ(ShortName("a::B[abi:x][abi:y]::c(int)"), "a::B::c");
}

TEST(ShortName, name_without_arguments__then_unchanged) { EXPECT_EQ(ShortName("main"), "main"); }

TEST(ShortName, anonymous_namespace_and_lambda__then_kept) {
  EXPECT_EQ(ShortName("(anonymous namespace)::foo(int)"), "(anonymous namespace)::foo");
  EXPECT_EQ(ShortName("main::{lambda(int)#1}::operator()(int) const"),
            "main::{lambda(int)#1}::operator()");
}

TEST(ShortName, rust_function_type__then_its_arrow_is_no_bracket) {
  EXPECT_EQ(ShortName("<fn() -> i32 as core::marker::FnPtr>::addr"),
            "<fn() -> i32 as core::marker::FnPtr>::addr");
  EXPECT_EQ(ShortName("a::gen::<fn(u8) -> u8>"), "a::gen::<fn(u8) -> u8>");
}

TEST(ShortName, operators__then_kept) {
  EXPECT_EQ(ShortName("std::ostream& std::operator<< <char>(std::ostream&, char)"),
            "std::operator<< <char>");
  EXPECT_EQ(ShortName("Foo::operator unsigned long() const"), "Foo::operator unsigned long");
  EXPECT_EQ(ShortName("operator new(unsigned long)"), "operator new");
  EXPECT_EQ(ShortName("Foo::operator->() const"), "Foo::operator->");
}

TEST(KindOfSymbol, cold_part__then_fragment) {
  EXPECT_EQ(KindOfSymbol("_Z3fooi.cold"), Kind::kColdFragment);
  EXPECT_EQ(KindOfSymbol("foo.cold.12"), Kind::kColdFragment);
}

TEST(KindOfSymbol, specialised_function__then_function) {
  EXPECT_EQ(KindOfSymbol("foo.constprop.0"), Kind::kFunction);
  EXPECT_EQ(KindOfSymbol("foo.part.0"), Kind::kFunction);
  EXPECT_EQ(KindOfSymbol("scold"), Kind::kFunction);
}

TEST(KindOfSymbol, start_up_code__then_glue_or_entry) {
  EXPECT_EQ(KindOfSymbol("frame_dummy"), Kind::kCompilerGlue);
  EXPECT_EQ(KindOfSymbol("_start"), Kind::kProgramEntry);
}

}  // namespace
}  // namespace flightrec::symbols
