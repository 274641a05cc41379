// What each keyword allows and excludes, and what is refused by name and place.
#include "grammar/json_schema.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/grammar/grammar_testing.h"

namespace gossamer {
namespace {

using ::testing::HasSubstr;

struct Row {
  const char* schema;
  std::vector<const char*> allowed;
  std::vector<const char*> excluded;
};

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    for (const char* text : row.allowed)
      EXPECT_TRUE(allows(row.schema, text)) << row.schema << " by " << text;
    for (const char* text : row.excluded)
      EXPECT_FALSE(allows(row.schema, text)) << row.schema << " by " << text;
  }
}

TEST(JsonSchema, HoldsTypes) {
  check({
      {R"({"type":"null"})", {"null"}, {"nul", "nulll", "0", ""}},
      {R"({"type":"boolean"})", {"true", "false"}, {"tru", "True", "1"}},
      {R"({"type":"integer"})",
       {"0", "-7", "999999999999999999"},
       {"-0", "01", "1.5", "1e3", "+1", "-", "1000000000000000000"}},
      {R"({"type":"number"})", {"0", "-0.5", "1e10", "2.5E-3"}, {".5", "1.", "1e", "00", "1e100", "--1"}},
      {R"({"type":["null","integer"]})", {"null", "12"}, {"\"12\"", "1.5"}},
      {R"({"type":"object"})", {"{}", R"({"a":[1,{"b":null}],"c":"d"})"}, {"[]", R"({"a"})", R"({"a":1,})"}},
      {R"({"type":"array"})", {"[]", "[1, 2]", R"([[],[{}]])"}, {"[1,]", "[", "[,1]"}},
      {"true", {"null", "1", "\"x\"", "[]", "{}"}, {"nope"}},
      {"{}", {"null", "1", "\"x\"", "[]", "{}"}, {""}},
  });
}

TEST(JsonSchema, HoldsTheSpellingOfStrings) {
  check({{R"({"type":"string"})",
          {R"("")", R"("a b")", R"("\"\\\/\b\f\n\r\t")", R"("\u00e9")", R"("\uD83d\uDe00")",
           "\"\xF0\x9F\x98\x80\"", "\"\x7F\""},
          {R"("\ud83d")", R"("\ud83dx")", R"("\ude00")", R"("\ud83d\ud83d")", "\"\n\"", "\"\xC3\"",
           "\"\xED\xA0\x80\"", "\"\xC0\x80\"", "\"\xF4\x90\x80\x80\"", R"("\x41")", R"("\u12g4")", "\"a",
           "a\""}}});
}

TEST(JsonSchema, CountsCharactersNotBytes) {
  check({
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {R"("ab")", R"("abc")", "\"\xC3\xA9\xE2\x82\xAC\"", "\"\xF0\x9F\x98\x80\xF0\x9F\x98\x80\"",
        R"("\u00e9\n")", R"("\ud83d\ude00x")"},
       {R"("a")", R"("abcd")", "\"\xC3\xA9\"", R"("\ud83d\ude00")", R"("")"}},
      {R"({"type":"string","maxLength":0})", {R"("")"}, {R"("a")"}},
      {R"({"type":"string","minLength":1})", {R"("a")", R"("abcdefghijklmnopqrstuvwxyz")"}, {R"("")"}},
  });
}

TEST(JsonSchema, HoldsNumbersToTheirBounds) {
  check({
      {R"({"type":"integer","minimum":-3,"maximum":12})", {"-3", "0", "9", "12"}, {"-4", "13", "100", "-0"}},
      {R"({"type":"integer","exclusiveMinimum":-3,"exclusiveMaximum":12})", {"-2", "11"}, {"-3", "12"}},
      {R"({"type":"integer","minimum":1.5,"maximum":3.5})", {"2", "3"}, {"1", "4"}},
      {R"({"type":"integer","minimum":-9223372036854775808,"maximum":18446744073709551615})",
       {"5", "-5"},
       {"x"}},
      {R"({"type":"integer","multipleOf":7})", {"0", "7", "-14", "700"}, {"1", "8", "70000000000000000000"}},
      {R"({"type":"integer","multipleOf":5,"minimum":7,"maximum":23})", {"10", "15", "20"}, {"5", "25", "7"}},
      {R"({"type":"number","multipleOf":3})", {"3", "9"}, {"3.0", "4"}},
      {R"({"type":"number","minimum":0.5,"maximum":2})",
       {"0.5", "0.50", "0.51", "1", "1.999", "2", "2.0"},
       {"0", "0.4", "0.49999", "2.01", "3", "-1", "10", "0.5e0"}},
      {R"({"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1})",
       {"0.1", "0.0001", "0.99"},
       {"0", "0.0", "1", "1.0", "-0.1"}},
      {R"({"type":"number","maximum":-1.25})", {"-1.25", "-1.3", "-2", "-100"}, {"-1.24", "-1", "0", "1.25"}},
      {R"({"type":"number","minimum":-1e300})", {"-5.5", "12345"}, {"1e3"}},
      {R"({"minimum":3})", {"3", "4.5"}, {"2", "\"x\""}},
  });
}

TEST(JsonSchema, HoldsValuesOfEnumAndConst) {
  check({
      {R"({"enum":["a","ab",1,10,null,[1,2],{"x":"y"}]})",
       {R"("a")", R"("ab")", "1", "10", "null", "[1,2]", R"({"x":"y"})"},
       {R"("b")", "2", "100", "[1, 2]"}},
      {R"({"const":"caf\u00e9\n"})", {"\"caf\xC3\xA9\\n\""}, {R"("caf")"}},
      {R"({"type":"string","enum":["a",1]})", {R"("a")"}, {"1"}},
  });
}

TEST(JsonSchema, WritesPropertiesInOrderAndLeavesOptionalOnesOut) {
  check({
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"},"c":{"type":"integer"}},"required":["b"]})",
       {R"({"b":1})", R"({"a":1,"b":2})", R"({"b":2, "c":3})", R"({"a": 1, "b": 2, "c": 3})"},
       {R"({})", R"({"a":1})", R"({"b":1,"a":2})", R"({"b":1,"b":2})", R"({"b":1,"d":2})", R"({"b":1,})",
        R"({,"b":1})", R"({ "b":1})", R"({"b":"x"})"}},
      {R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"}}})",
       {"{}", R"({"a":null})", R"({"b":null})", R"({"a":null,"b":null})"},
       {R"({"c":null})"}},
      {R"({"type":"object","properties":{},"additionalProperties":false})", {"{}"}, {R"({"a":1})"}},
      {R"({"type":"object","required":["x"]})", {R"({"x":1})", R"({"x":1,"y":2})"}, {"{}", R"({"y":2})"}},
  });
}

TEST(JsonSchema, HoldsUndeclaredPropertiesToAdditionalProperties) {
  check({
      {R"({"type":"object","properties":{"n":{"type":"string"}},"additionalProperties":{"type":"integer"}})",
       {"{}", R"({"n":"x"})", R"({"n":"x","m":1})", R"({"m":1,"name":2,"":3})"},
       {R"({"n":1})", R"({"m":"x"})", R"({"m":1,"n":2})", R"({"\u006e":1})"}},
      {R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}},"minProperties":1,"maxProperties":2,"additionalProperties":false})",
       {R"({"a":null})", R"({"a":null,"c":null})", R"({"b":null,"c":null})"},
       {"{}", R"({"a":null,"b":null,"c":null})"}},
      {R"({"type":"object","additionalProperties":{"type":"null"},"maxProperties":2})",
       {"{}", R"({"x":null})", R"({"x":null,"y":null})"},
       {R"({"x":null,"y":null,"z":null})"}},
      {R"({"type":"object","minProperties":1})", {R"({"x":1})", R"({"x":1,"x":2})"}, {"{}"}},
  });
}

TEST(JsonSchema, HoldsItemsAndTheirNumber) {
  check({
      {R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3})",
       {"[1]", "[1,2,3]"},
       {"[]", "[1,2,3,4]", "[null]"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":false})",
       {"[]", "[1]", R"([1,"x"])"},
       {R"(["x"])", R"([1,"x",2])"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"}],"items":{"type":"null"},"minItems":2})",
       {"[1,null]", "[1,null,null,null]"},
       {"[1]", "[null,null]"}},
      {R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}},
      {R"({"type":"array","items":false})", {"[]"}, {"[1]"}},
      {R"({"type":"array","minItems":2,"items":{"const":7}})", {"[7,7]", "[7,7,7,7,7]"}, {"[]", "[7]"}},
  });
}

TEST(JsonSchema, TakesAlternativesAndMergesAllOf) {
  check({
      {R"({"anyOf":[{"type":"integer"},{"type":"string","maxLength":1}]})",
       {"5", R"("x")"},
       {R"("xy")", "null"}},
      {R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"}},"anyOf":[{"required":["a"]},{"required":["b"]}]})",
       {R"({"a":null})", R"({"b":null})", R"({"a":null,"b":null})"},
       {"{}"}},
      {R"({"oneOf":[{"type":"object","properties":{"k":{"const":1},"x":{"type":"null"}},"required":["k","x"]},{"type":"object","properties":{"k":{"enum":[2,3]}},"required":["k"]}]})",
       {R"({"k":1,"x":null})", R"({"k":2})", R"({"k":3})"},
       {R"({"k":1})", R"({"k":2,"x":null})"}},
      {R"({"allOf":[{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]},{"properties":{"a":{"maximum":5},"b":{"type":"null"}}}]})",
       {R"({"a":5})", R"({"a":1,"b":null})"},
       {R"({"a":6})", R"({"b":null})"}},
      {R"({"allOf":[{"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"}}},{"properties":{"a":true},"additionalProperties":false}]})",
       {"{}", R"({"a":null})"},
       {R"({"b":null})", R"({"a":1})"}},
      {R"({"type":["integer","string"],"allOf":[{"type":["string","null"]}]})", {R"("x")"}, {"1", "null"}},
  });
}

TEST(JsonSchema, FollowsReferencesAndRecursion) {
  const char* list =
      R"({"$ref":"#/$defs/n","$defs":{"n":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]}},"required":["v","next"]}}})";
  check({
      {list,
       {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":2,"next":null}})"},
       {R"({"v":1})", R"({"v":1,"next":{"v":2}})"}},
      {R"({"type":"array","items":{"$ref":"#"}})", {"[]", "[[],[[]]]"}, {"[1]", "[[]"}},
      {R"({"type":"object","properties":{"a/b~c d":{"type":"null"},"x":{"$ref":"#/properties/a~1b~0c%20d"}}})",
       {R"({"x":null})"},
       {R"({"x":1})"}},
      {R"({"$ref":"#/$defs/s","maxLength":2,"$defs":{"s":{"type":"string","minLength":1}}})",
       {R"("ab")"},
       {R"("")", R"("abc")"}},
      {R"({"allOf":[{"$ref":"#/$defs/b"},{"properties":{"next":{"$ref":"#"}}}],"$defs":{"b":{"type":"object","properties":{"v":{"type":"null"}},"required":["v"]}}})",
       {R"({"v":null})", R"({"v":null,"next":{"v":null}})"},
       {R"({"v":null,"next":{}})"}},
  });
}

TEST(JsonSchema, NestsOnlyAsDeepAsCanStillBeClosed) {
  const JsonOptions options{.max_depth = 3};
  const char* schema = R"({"type":"array","items":{"$ref":"#"}})";
  EXPECT_TRUE(allows(schema, "[[[]]]", options));
  const Result<Grammar> grammar = json_schema_grammar(parse_schema(schema), options);
  ASSERT_TRUE(grammar.ok());
  Machine machine(grammar.value());
  EXPECT_TRUE(machine.run(machine.start(), "[[[[[").dead());  // an innermost string would take one more
  EXPECT_FALSE(machine.run(machine.start(), "[[[").dead());
}

TEST(JsonSchema, BoundsWhiteSpace) {
  const char* schema =
      R"({"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}}},"required":["a"]})";
  const auto with = [](JsonSpace space) { return JsonOptions{.space = space}; };
  const std::string lines = "{\n  \"a\": [\n    1,\n    2\n  ]\n}";
  EXPECT_TRUE(allows(schema, R"({"a":[1,2]})", with(JsonSpace::kNone)));
  EXPECT_FALSE(allows(schema, R"({"a": [1,2]})", with(JsonSpace::kNone)));
  EXPECT_TRUE(allows(schema, R"({"a": [1, 2]})", with(JsonSpace::kOneSpace)));
  EXPECT_FALSE(allows(schema, R"({"a":  [1,2]})", with(JsonSpace::kOneSpace)));
  EXPECT_FALSE(allows(schema, lines, with(JsonSpace::kOneSpace)));
  EXPECT_TRUE(allows(schema, lines, with(JsonSpace::kLines)));
  EXPECT_TRUE(allows(schema, R"({"a": [1, 2]})", with(JsonSpace::kLines)));
  EXPECT_FALSE(allows(schema, "{\n\n\"a\": []}", with(JsonSpace::kLines)));
  EXPECT_FALSE(allows(schema, "{\n" + std::string(33, ' ') + "\"a\": []}", with(JsonSpace::kLines)));
}

TEST(JsonSchema, HoldsFormats) {
  const auto of = [](const char* format) {
    return std::string(R"x({"type":"string","format":")x") + format + "\"}";
  };
  const std::vector<std::tuple<const char*, std::vector<const char*>, std::vector<const char*>>> rows = {
      {"date", {"2024-02-29", "1999-12-31"}, {"2023-02-29", "2024-13-01", "2024-04-31", "24-01-01"}},
      {"time", {"12:34:56Z", "23:59:59.123+05:30"}, {"24:00:00Z", "12:34Z", "12:34:56"}},
      {"date-time", {"2024-02-29T12:00:00Z"}, {"2024-02-29 12:00:00Z", "2024-02-29"}},
      {"uuid", {"123e4567-e89b-12d3-a456-426614174000"}, {"123e4567e89b12d3a456426614174000"}},
      {"email", {"a.b+c@example.com"}, {"a@b", "@example.com", "a..b@example.com"}},
      {"hostname", {"example.com", "a-b.example"}, {"-a.example", "a_b.com"}},
      {"ipv4", {"127.0.0.1", "255.255.255.255"}, {"256.0.0.1", "1.2.3", "01.2.3.4"}},
      {"ipv6",
       {"::1", "2001:db8::ff00:42:8329", "1:2:3:4:5:6:7:8", "::"},
       {"1:2:3:4:5:6:7", "1::2::3", "12345::"}},
      {"uri",
       {"https://example.com/a?b=c#d", "http://localhost:8000"},
       {"example.com", "ftp:/x", "http://a b"}},
  };
  for (const auto& [format, good, bad] : rows) {
    for (const std::string text : good) EXPECT_TRUE(allows(of(format), "\"" + text + "\"")) << format << text;
    for (const std::string text : bad) EXPECT_FALSE(allows(of(format), "\"" + text + "\"")) << format << text;
  }
  EXPECT_TRUE(allows(R"({"type":"integer","format":"int32"})", "5"));
  EXPECT_TRUE(allows(R"({"type":"string","format":"password"})", "\"x\""));
}

TEST(JsonSchema, RefusesWithPlaceAndReason) {
  const std::vector<std::array<const char*, 3>> rows = {{
      {R"({"properties":{"a":{"not":{}}}})", "#/properties/a/not", "not supported"},
      {R"({"type":"object","patternProperties":{}})", "#/patternProperties", "not supported"},
      {R"({"type":"array","uniqueItems":true})", "#/uniqueItems", "not supported"},
      {R"({"items":{"type":"hiccup"}})", "#/items/type", "hiccup"},
      {R"({"type":123})", "#/type", "123"},
      {R"(123)", "#", "expected an object"},
      {R"({"$ref":"http://x/y"})", "#/$ref", "leads out"},
      {R"({"$ref":"#/$defs/none"})", "#/$ref", "leads nowhere"},
      {R"({"$ref":"#"})", "#", "circle"},
      {R"({"type":"number","multipleOf":0.01})", "#/multipleOf", "whole numbers"},
      {R"x({"type":"string","pattern":"(?=a)"})x", "#/pattern", "look-ahead"},
      {R"x({"type":"string","pattern":"(a)\\1"})x", "#/pattern", "\\1"},
      {R"({"type":"string","pattern":"a{9999}{9999}"})", "#/pattern", "quantifiers"},
      {R"({"type":"string","pattern":"(a{9999}){9999}"})", "#/pattern", "too large"},
      {R"({"type":"string","format":"duration"})", "#/format", "duration"},
      {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", "#/oneOf", "may both hold"},
      {R"({"type":"integer","minimum":5,"maximum":4})", "#", "nothing satisfies"},
      {R"({"type":"object","properties":{"x":{"$ref":"#"}},"required":["x"]})", "#", "infinite"},
      {R"({"enum":[]})", "#", "nothing satisfies"},
      {R"(false)", "#", "nothing satisfies"},
      {R"({"type":"array","minItems":1000000})", "#/minItems", "4096"},
      {R"({"type":"object","minProperties":3,"additionalProperties":true})", "#/minProperties", "minimum"},
      {R"({"type":"string","minLength":-1})", "#/minLength", "whole number"},
      {R"({"required":"a"})", "#/required", "list of names"},
  }};
  for (const auto& [schema, place, reason] : rows) {
    EXPECT_THAT(refusal(schema), HasSubstr(std::string("schema at ") + place + ":")) << schema;
    EXPECT_THAT(refusal(schema), HasSubstr(reason)) << schema;
  }
}

TEST(JsonSchema, RefusesWhatIsHugeInBoundedTime) {
  std::string deep = "{}";
  for (int i = 0; i < 90; ++i) deep = R"({"type":"array","minItems":1,"items":)" + deep + "}";
  EXPECT_THAT(refusal(deep), HasSubstr("nested"));
  EXPECT_THAT(refusal(R"x({"description":")x" + std::string(300'000, 'x') + "\"}"), HasSubstr("too large"));
  // Alternatives of alternatives, each doubling what follows, and patterns that explode.
  std::string doubling = R"({"$defs":{"d0":{"type":"object","properties":{"a":{}}})";
  for (int i = 1; i < 30; ++i) {
    const std::string ref = R"({"$ref":"#/$defs/d)" + std::to_string(i - 1) + "\"}";
    doubling += ",\"d" + std::to_string(i) + R"(":{"properties":{"b":{}},"anyOf":[)" + ref + "," + ref + "]}";
  }
  EXPECT_THAT(refusal(doubling + R"(},"$ref":"#/$defs/d29","title":"x"})"), HasSubstr(""));
  std::string patterns = R"({"type":"object","properties":{)";
  for (int i = 0; i < 500; ++i) {
    patterns += fmt::format(R"x({}"p{}":{{"type":"string","pattern":"(a|b)*a(a|b){{14}}[^\\s\\S]{}"}})x",
                            i == 0 ? "" : ",", i, i);
  }
  EXPECT_THAT(refusal(patterns + "}}"), HasSubstr("too"));
}

}  // namespace
}  // namespace gossamer
