#include "services/tracer/symbols/names.h"

#include "gtest/gtest.h"

namespace flightrec::symbols {
namespace {

TEST(Demangle, cpp_symbol__then_has_arguments) {
  EXPECT_EQ(Demangle("_ZN2ns3fooEi"), "ns::foo(int)");
}

TEST(Demangle, c_symbol__then_unchanged) { EXPECT_EQ(Demangle("main"), "main"); }

TEST(Demangle, broken_symbol__then_unchanged) { EXPECT_EQ(Demangle("_ZN2ns"), "_ZN2ns"); }

TEST(Demangle, legacy_rust_symbol__then_hash_and_escapes_are_gone) {
  EXPECT_EQ(Demangle("_ZN4core3fmt9Formatter3new17h0123456789abcdefE"),
            "core::fmt::Formatter::new");
  EXPECT_EQ(Demangle("_ZN36_$LT$str$u20$as$u20$fmt..Display$GT$3fmt17h0123456789abcdefE"),
            "<str as fmt::Display>::fmt");
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
