#include "services/query_engine/engine/user_query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/clock/clock.h"

namespace flightrec::query_engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RowCollector final : public RowSink {
 public:
  absl::Status TakeColumns(const std::vector<Column>& taken) override {
    columns = taken;
    return absl::OkStatus();
  }
  absl::Status TakeRows(std::vector<Row> taken) override {
    for (Row& row : taken) rows.push_back(std::move(row));
    return absl::OkStatus();
  }

  std::vector<Column> columns;
  std::vector<Row> rows;
};

class UserQueryTest : public ::testing::Test {
 protected:
  UserQueryTest() : watch_(clock::RealClock()) {
    database_ = *Database::Open({.memory_bytes = int64_t{128} << 20, .threads = 1});
    const auto connection = *database_->Connect();
    EXPECT_EQ(connection->Execute("CREATE TABLE calls AS SELECT range AS call_id FROM range(10)"),
              absl::OkStatus());
  }

  absl::Status Run(const std::string& sql) {
    return RunUserQuery(*database_, watch_, sql, limits_, collector_).status();
  }

  int64_t CallsLeft() {
    RowCollector counted;
    EXPECT_EQ(
        RunUserQuery(*database_, watch_, "SELECT count(*) FROM calls", limits_, counted).status(),
        absl::OkStatus());
    return std::get<int64_t>(counted.rows[0][0]);
  }

  std::unique_ptr<Database> database_;
  QueryWatch watch_;
  UserQueryLimits limits_{
      .max_rows = 1000, .timeout = absl::Seconds(30), .cancelled = [] { return false; }};
  RowCollector collector_;
};

class RefusedStatementTest : public UserQueryTest,
                             public ::testing::WithParamInterface<const char*> {};

TEST_P(RefusedStatementTest, writes_or_reaches_out__then_permission_denied) {
  EXPECT_EQ(Run(GetParam()).code(), absl::StatusCode::kPermissionDenied) << Run(GetParam());
  EXPECT_EQ(CallsLeft(), 10);
}

INSTANTIATE_TEST_SUITE_P(
    Sandbox, RefusedStatementTest,
    ::testing::Values("COPY calls TO 'out.csv'", "ATTACH 'other.db'", "INSTALL httpfs",
                      "LOAD httpfs", "PRAGMA show_tables", "SET threads = 8",
                      "RESET lock_configuration", "CREATE TABLE t(i INT)",
                      "CREATE TEMP TABLE t AS SELECT 1", "INSERT INTO calls VALUES (1)",
                      "DELETE FROM calls", "UPDATE calls SET call_id = 0", "DROP TABLE calls",
                      "ALTER TABLE calls RENAME TO c", "EXPORT DATABASE 'dir'",
                      "CALL pragma_version()", "BEGIN", "COMMIT", "VACUUM", "CHECKPOINT",
                      "USE main", "EXECUTE x", "/* hidden */ -- more\n (DELETE FROM calls)",
                      "EXPLAIN ANALYZE DELETE FROM calls", "WITH x AS (SELECT 1) DELETE FROM calls",
                      "SELECT * FROM read_csv('/etc/passwd')",
                      "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM glob('/*')",
                      "FROM read_parquet('https://example.com/x.parquet')"));

TEST_F(UserQueryTest, functions_that_change_the_engine__then_permission_denied_however_written) {
  for (const char* sql :
       {"SELECT * FROM enable_logging(storage='file', storage_path='logs')",
        "SELECT * FROM Enable_Logging ()", "SELECT * FROM system.main.\"enable_logging\" ()",
        "SELECT * FROM enable_logging/* \" */()", "SELECT * FROM enable_logging -- '\n()",
        "WITH x AS (SELECT * FROM enable_logging\u00a0()) SELECT * FROM x",
        "SELECT 'it''s', \"'\" FROM enable_logging()", "SELECT E'\\'' FROM enable_logging() --'",
        "SELECT $$'$$ FROM enable_logging() --'", "SELECT * FROM query('SELECT ' || '1')",
        "EXPLAIN ANALYZE SELECT * FROM disable_logging()", "SELECT write_log('x')"}) {
    EXPECT_EQ(Run(sql).code(), absl::StatusCode::kPermissionDenied) << sql;
  }
}

TEST_F(UserQueryTest, every_switch_the_engine_has__then_permission_denied) {
  ASSERT_EQ(
      Run("SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'table'"
          " AND regexp_matches(function_name, '^(en|dis)able_|^truncate|checkpoint|execute')"),
      absl::OkStatus());
  EXPECT_GE(collector_.rows.size(), 8);
  for (const Row& row : std::exchange(collector_.rows, {})) {
    const std::string sql = "SELECT * FROM " + std::get<std::string>(row[0]) + "()";
    EXPECT_EQ(Run(sql).code(), absl::StatusCode::kPermissionDenied) << sql;
  }
}

TEST_F(UserQueryTest, refused_function_named_in_text_or_as_column__then_is_allowed) {
  EXPECT_EQ(Run("SELECT 'Db::query(int)' AS query, 'enable_logging()' WHERE 'a' <> 'query (x)'"),
            absl::OkStatus());
  EXPECT_EQ(Run("SELECT query - 1 FROM (SELECT 2 AS query)"), absl::OkStatus());
}

TEST_F(UserQueryTest, several_statements__then_invalid_argument) {
  const absl::Status status = Run("SELECT 1; SELECT 2");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("2 statements"));
}

TEST_F(UserQueryTest, nothing_but_a_comment__then_invalid_argument) {
  EXPECT_EQ(Run("-- nothing").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Run("").code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(UserQueryTest, unknown_table__then_message_has_candidate_and_caret) {
  const absl::Status status = Run("SELECT *\nFROM cals");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("Did you mean \"calls\""));
  EXPECT_THAT(std::string(status.message()), HasSubstr("LINE 2: FROM cals\n             ^"));
}

TEST_F(UserQueryTest, runtime_error__then_invalid_argument) {
  EXPECT_EQ(Run("SELECT CAST('x' AS INTEGER)").code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(UserQueryTest, parameter_in_the_text__then_invalid_argument) {
  EXPECT_EQ(Run("SELECT $1").code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(UserQueryTest, sort_larger_than_memory__then_resource_exhausted_and_nothing_on_disk) {
  const absl::Status status =
      Run("SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY hash(range)) AS n "
          "FROM range(20000000))");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--memory_limit_mb"));
  ASSERT_EQ(Run("SELECT count(*) FROM duckdb_temporary_files()"), absl::OkStatus());
  EXPECT_THAT(collector_.rows, ElementsAre(Row{int64_t{0}}));
}

TEST_F(UserQueryTest, caller_has_gone__then_cancelled) {
  limits_.cancelled = [] { return true; };
  EXPECT_EQ(Run("SELECT count(*) FROM range(10000000) a, range(10000000) b "
                "WHERE a.range % 7 = b.range % 11")
                .code(),
            absl::StatusCode::kCancelled);
}

TEST_F(UserQueryTest, reading_statements__then_are_allowed) {
  for (const char* sql : {"SELECT 1", "WITH x AS (SELECT 1) SELECT * FROM x", "FROM calls",
                          "VALUES (1)", "EXPLAIN SELECT 1", "DESCRIBE calls", "SHOW TABLES",
                          "SUMMARIZE calls", "(SELECT 1)", "SELECT 1;"}) {
    EXPECT_EQ(Run(sql), absl::OkStatus()) << sql;
  }
}

TEST_F(UserQueryTest, values_of_many_types__then_each_in_its_place) {
  ASSERT_EQ(Run("SELECT 18446744073709551615::UBIGINT, -5::SMALLINT, true, 1.5::DOUBLE, NULL, "
                "'text', '\\xFF'::BLOB"),
            absl::OkStatus());
  EXPECT_THAT(collector_.rows,
              ElementsAre(Row{uint64_t{18446744073709551615u}, int64_t{-5}, true, 1.5,
                              std::monostate(), std::string("text"), Blob{"\xFF"}}));
}

TEST_F(UserQueryTest, types_without_a_place__then_text_as_the_engine_writes_it) {
  ASSERT_EQ(Run("SELECT 170141183460469231731687303715884105727::HUGEINT, 1.25::DECIMAL(9,2), "
                "DATE '2026-01-02', [1, NULL], {'a': 1, 'b': 'x'}, MAP {'k': 2}, "
                "'00000000-0000-0000-0000-000000000001'::UUID, INTERVAL 2 DAY, [1, 2]::INT[2], "
                "'b'::ENUM('a', 'b')"),
            absl::OkStatus());
  std::vector<std::string> texts;
  for (const Value& value : collector_.rows.at(0)) texts.push_back(std::get<std::string>(value));
  EXPECT_THAT(texts, ElementsAre("170141183460469231731687303715884105727", "1.25", "2026-01-02",
                                 "[1, NULL]", "{'a': 1, 'b': x}", "{k=2}",
                                 "00000000-0000-0000-0000-000000000001", "2 days", "[1, 2]", "b"));
  std::vector<std::string> types;
  for (const Column& column : collector_.columns) types.push_back(column.type);
  EXPECT_THAT(types, ElementsAre("HUGEINT", "DECIMAL(9,2)", "DATE", "INTEGER[]",
                                 "STRUCT(a INTEGER, b VARCHAR)", "MAP(VARCHAR, INTEGER)", "UUID",
                                 "INTERVAL", "INTEGER[2]", "ENUM"));
}

}  // namespace
}  // namespace flightrec::query_engine
