// CSV and JSON Lines: every row or a complaint with its line.
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "eval/csv.h"
#include "eval/jsonl.h"
#include "tests/checkpoint/test_folder.h"

namespace gossamer {
namespace {

using test::TestFolder;
using test::write_file;

TEST(Csv, ReadsQuotesCommasAndNewlinesInFields) {
  const auto table = parse_csv("a,b\r\n\"1,\"\"x\"\"\",\"two\nlines\"\n\nc,d\"e", "f.csv");
  EXPECT_TRUE(table.complaints.empty());
  ASSERT_EQ(table.rows.size(), 3U);
  EXPECT_EQ(table.rows[1].fields, (std::vector<std::string>{"1,\"x\"", "two\nlines"}));
  EXPECT_EQ(table.rows[1].line, 2U);
  EXPECT_EQ(table.rows[2].line, 5U) << "lines, not rows";
  EXPECT_EQ(table.rows[2].fields, (std::vector<std::string>{"c", "d\"e"}));
}

TEST(Csv, AnOpenQuoteCostsItsOwnLineOnly) {
  const auto table = parse_csv("a,b\n1,\"open\n2,x\n3,\"y\"z\n4,w\n", "f.csv");
  ASSERT_EQ(table.complaints.size(), 2U);
  EXPECT_EQ(table.complaints[0].where, "f.csv:2");
  EXPECT_EQ(table.complaints[1].where, "f.csv:4");
  ASSERT_EQ(table.rows.size(), 3U);
  EXPECT_EQ(table.rows[2].fields[0], "4");
}

TEST(Csv, FieldsRoundTrip) {
  for (const std::string field : {"plain", "a,b", "say \"x\"", "two\nlines", ""}) {
    const auto table = parse_csv(csv_field(field) + ",end\n", "f.csv");
    ASSERT_EQ(table.rows.size(), 1U);
    EXPECT_EQ(table.rows[0].fields[0], field);
  }
}

TEST(CsvTable, TakesColumnsByName) {
  const TestFolder folder;
  write_file(folder / "t.csv", "\xEF\xBB\xBFid,x,y\n0,1,2\n1,2\n2,\xFF,3\n3,4,5\n");
  const CsvTable table(folder / "t.csv", {"y", "id"});
  ASSERT_EQ(table.rows().size(), 3U) << "column x is not asked for";
  EXPECT_EQ(table.rows()[0].fields, (std::vector<std::string>{"2", "0"}));
  ASSERT_EQ(table.complaints().size(), 1U);
  EXPECT_TRUE(table.complaints()[0].where.ends_with("t.csv:3"));
  EXPECT_EQ(CsvTable(folder / "t.csv", {"x"}).complaints().size(), 2U);
  EXPECT_THROW(CsvTable(folder / "t.csv", {"z"}), Error);
  EXPECT_THROW(CsvTable(folder / "missing.csv", {"z"}), Error);
}

TEST(JsonRows, NamesLinesThatAreNoObjects) {
  const TestFolder folder;
  write_file(folder / "t.jsonl", "\xEF\xBB\xBF{\"a\": 1}\r\n\n[1]\n{\"a\": \n{\"a\": 2}");
  const auto rows = read_json_rows(folder / "t.jsonl");
  ASSERT_EQ(rows.rows.size(), 2U);
  EXPECT_EQ(rows.rows[1].line, 5U);
  ASSERT_EQ(rows.complaints.size(), 2U);
  EXPECT_TRUE(rows.complaints[0].where.ends_with("t.jsonl:3"));
  EXPECT_TRUE(rows.complaints[1].where.ends_with("t.jsonl:4"));
}

TEST(JsonRowReader, KeepsTheFirstMistake) {
  const json::object row = {{"s", "x"}, {"n", 3}, {"b", true}, {"one", 1}, {"l", {"p", "q"}}, {"z", nullptr}};
  JsonRowReader good(row);
  EXPECT_EQ(good.string({"other", "s"}), "x");
  EXPECT_EQ(good.integer("n"), 3);
  EXPECT_TRUE(good.flag({"b"}));
  EXPECT_TRUE(good.flag({"one"}));
  EXPECT_EQ(good.strings({"l"}).size(), 2U);
  EXPECT_TRUE(good.optional_strings("z").empty());
  EXPECT_FALSE(good.mistake());
  good.flag({"n"});
  good.string({"missing"});
  ASSERT_TRUE(good.mistake());
  EXPECT_EQ(*good.mistake(), "n: expected true, false, 1 or 0, found 3");
}

}  // namespace
}  // namespace gossamer
