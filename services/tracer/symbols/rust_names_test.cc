#include "services/tracer/symbols/rust_names.h"

#include <random>
#include <string>

#include "gtest/gtest.h"

namespace flightrec::symbols {
namespace {

struct Pair {
  const char* symbol;
  const char* name;
};

class DemangleRustV0Test : public testing::TestWithParam<Pair> {};

TEST_P(DemangleRustV0Test, symbol__then_name) {
  EXPECT_EQ(DemangleRustV0(GetParam().symbol).value_or("none"), GetParam().name);
}

// Made by rustc 1.95 from a program with these functions; c++filt gives the
// same names, apart from the hashes of crates and the types of constants.
INSTANTIATE_TEST_SUITE_P(
    Rustc, DemangleRustV0Test,
    testing::Values(
        Pair{"_RNvCs6GmmlP4bgsG_1r4main", "r::main"},
        Pair{"_RINvCs6GmmlP4bgsG_1r3appNCNvB2_4main0EB2_", "r::app::<r::main::{closure#0}>"},
        Pair{"_RNCNvCs6GmmlP4bgsG_1r4mains_0B3_", "r::main::{closure#1}"},
        Pair{"_RINvCs6GmmlP4bgsG_1r3genAhj4_EB2_", "r::gen::<[u8; 4]>"},
        Pair{"_RINvCs6GmmlP4bgsG_1r3genThEEB2_", "r::gen::<(u8,)>"},
        Pair{"_RINvCs6GmmlP4bgsG_1r3genFEuEB2_", "r::gen::<fn()>"},
        Pair{"_RINvCs6GmmlP4bgsG_1r3genFUKCPhElEB2_",
             "r::gen::<unsafe extern \"C\" fn(*const u8) -> i32>"},
        Pair{"_RNvMNtNtCsgEmfK2I1SDS_4core3ptr9const_ptrPu13is_aligned_toCs6GmmlP4bgsG_1r",
             "<*const ()>::is_aligned_to"},
        Pair{"_RNvMs_Cs6GmmlP4bgsG_1rINtB4_1CKc7a_Kb1_Kan5_E2goB4_", "<r::C<'z', true, -5>>::go"},
        Pair{"_RNvMs_Cs6GmmlP4bgsG_1rINtB4_1CKce9_Kb0_Ka5_E2goB4_",
             "<r::C<'\\u{e9}', false, 5>>::go"},
        Pair{"_RNvNtCs6GmmlP4bgsG_1ru7ber_goau9gre_6ka8i", "r::über::größe"},
        Pair{"_RNvXCs6GmmlP4bgsG_1rINtB2_2SqKj7_fENtB2_5Shape4areaB2_",
             "<r::Sq<7, f32> as r::Shape>::area"},
        Pair{"_RNvYINtCs6GmmlP4bgsG_1r2SqKj1_fENtB5_5Shape4nameB5_",
             "<r::Sq<1, f32> as r::Shape>::name"}));

// Rules of RFC 2603 that the program has no example of.
INSTANTIATE_TEST_SUITE_P(
    Grammar, DemangleRustV0Test,
    testing::Values(
        Pair{"_RNSC1a6vtable", "a::{shim:vtable#0}"}, Pair{"_RINvC1a1fReE", "a::f::<&str>"},
        Pair{"_RINvC1a1fQShE", "a::f::<&mut [u8]>"},
        Pair{"_RINvC1a1fFG_RL0_hEuE", "a::f::<for<'a> fn(&'a u8)>"},
        Pair{"_RINvC1a1fDNtC1b1TEL_E", "a::f::<dyn b::T>"},
        Pair{"_RINvC1a1fDNtC1b1Tp4ItemhNtC1b4SendEL_E", "a::f::<dyn b::T<Item = u8> + b::Send>"},
        Pair{"_RINvC1a1fDINtC1b1ThEp3OutlEL_E", "a::f::<dyn b::T<u8, Out = i32>>"},
        Pair{"_RINvC1a1fThlzEE", "a::f::<(u8, i32, !)>"}, Pair{"_RINvC1a1fKpE", "a::f::<_>"},
        Pair{"_RINvC1a1fKoffffffffffffffffff_E", "a::f::<0xffffffffffffffffff>"},
        Pair{"_RINvC1a1fL_E", "a::f::<'_>"}));

TEST(DemangleRustV0, not_a_v0_symbol__then_none) {
  for (const char* symbol : {"", "_R", "_RN", "main", "_Z3foov", "_RNvC1a", "_RNvC9a1b", "_RB_",
                             "_RNvC1a1bX", "_RINvC1a1fB9_E", "_RNvC1au3a_!", "_R1"}) {
    EXPECT_FALSE(DemangleRustV0(symbol).has_value()) << symbol;
  }
}

// Base 62 as back references have it, for places below 3,844.
std::string BackReference(size_t place) {
  const std::string digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::string text = "B";
  if (place > 62) text += digits[(place - 1) / 62];
  if (place > 0) text += digits[(place - 1) % 62];
  return text + "_";
}

// Each argument is a pair of the one before.
std::string Doubling(int pairs) {
  std::string text = "INvC1a1f";
  size_t last = text.size();
  text += "ThhE";
  for (int i = 0; i < pairs; ++i) {
    const std::string reference = BackReference(last);
    last = text.size();
    text += "T" + reference + reference + "E";
  }
  return "_R" + text + "E";
}

TEST(DemangleRustV0, back_references_that_double__then_none_beyond_the_limit) {
  EXPECT_EQ(DemangleRustV0(Doubling(1)).value_or(""), "a::f::<(u8, u8), ((u8, u8), (u8, u8))>");
  EXPECT_TRUE(DemangleRustV0(Doubling(8)).has_value());
  EXPECT_FALSE(DemangleRustV0(Doubling(60)).has_value());
}

TEST(DemangleRustV0, nested_too_deep__then_none) {
  EXPECT_FALSE(DemangleRustV0("_RINvC1a1f" + std::string(100000, 'S') + "hE").has_value());
}

TEST(DemangleRustV0, bytes_changed_anywhere__then_ends) {
  const std::string whole =
      "_RINvNtCs1_4core3fmt1fDINtC1b1TRL_hEp3OutlNtC1b4SendEL_FG_KCRL0_eEThlEKc7a_NCNvB2_"
      "4main0EB2_";
  ASSERT_TRUE(DemangleRustV0(whole).has_value());
  std::mt19937 random(11);
  for (int round = 0; round < 50000; ++round) {
    std::string damaged = whole;
    for (int i = 0; i < 1 + round % 4; ++i) {
      damaged[2 + random() % (damaged.size() - 2)] = whole[random() % whole.size()];
    }
    const auto name = DemangleRustV0(damaged);
    ASSERT_LE(name.value_or("").size(), 16384u);
  }
}

TEST(DecodeLegacyRust, hash_and_escapes__then_gone) {
  EXPECT_EQ(DecodeLegacyRust("core::fmt::Formatter::new::h0123456789abcdef"),
            "core::fmt::Formatter::new");
  EXPECT_EQ(DecodeLegacyRust("_$LT$str$u20$as$u20$fmt..Display$GT$::fmt::h0123456789abcdef"),
            "<str as fmt::Display>::fmt");
  EXPECT_EQ(DecodeLegacyRust("a::_$u7b$$u7b$closure$u7d$$u7d$::h0123456789abcdef"),
            "a::{{closure}}");
  EXPECT_EQ(DecodeLegacyRust("a::$u7e$$u1f600$$ux$::h0123456789abcdef"), "a::~\U0001F600$ux$");
}

TEST(DecodeLegacyRust, no_hash__then_unchanged) {
  EXPECT_EQ(DecodeLegacyRust("ns::hot::function"), "ns::hot::function");
  EXPECT_EQ(DecodeLegacyRust("a$LT$::h0123456789abcdeX"), "a$LT$::h0123456789abcdeX");
}

}  // namespace
}  // namespace flightrec::symbols
