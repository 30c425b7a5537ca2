#include <cstdlib>
#include <memory>
#include <string>

#include "Zydis/Zydis.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "boost/asio/ip/tcp.hpp"
#include "boost/beast/http.hpp"
#include "duckdb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "openssl/crypto.h"
#include "openssl/ssl.h"
#include "rocksdb/db.h"
#include "zstd.h"

namespace flightrec::smoke {
namespace {

TEST(Dependencies, absl__maps_and_formats) {
  const absl::flat_hash_map<std::string, int> ports = {{"tracer", 7071}};
  EXPECT_EQ(absl::StrFormat("%d", ports.at("tracer")), "7071");
  EXPECT_GT(absl::Now(), absl::UnixEpoch());
}

TEST(Dependencies, zydis__decodes_a_prologue) {
  const unsigned char bytes[] = {0x55, 0x48, 0x89, 0xe5};
  ZydisDisassembledInstruction push;
  ASSERT_TRUE(ZYAN_SUCCESS(
      ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, 0, bytes, sizeof(bytes), &push)));
  EXPECT_EQ(push.info.length, 1);
  EXPECT_STREQ(push.text, "push rbp");
}

TEST(Dependencies, rocksdb__returns_what_was_put) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.compression = rocksdb::kZSTD;
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status open =
      rocksdb::DB::Open(options, std::string(std::getenv("TEST_TMPDIR")) + "/store", &opened);
  ASSERT_TRUE(open.ok()) << open.ToString();
  const std::unique_ptr<rocksdb::DB> db(opened);
  rocksdb::WriteOptions durable;
  durable.sync = true;
  ASSERT_TRUE(db->Put(durable, "key", "value").ok());
  std::string value;
  ASSERT_TRUE(db->Get(rocksdb::ReadOptions(), "key", &value).ok());
  EXPECT_EQ(value, "value");
}

TEST(Dependencies, duckdb__selects_42) {
  duckdb_database database;
  duckdb_connection connection;
  ASSERT_EQ(duckdb_open(nullptr, &database), DuckDBSuccess);
  ASSERT_EQ(duckdb_connect(database, &connection), DuckDBSuccess);
  duckdb_result result;
  ASSERT_EQ(duckdb_query(connection, "SELECT 42", &result), DuckDBSuccess);
  EXPECT_EQ(duckdb_value_int64(&result, 0, 0), 42);
  duckdb_destroy_result(&result);
  duckdb_disconnect(&connection);
  duckdb_close(&database);
}

TEST(Dependencies, zstd__round_trips) {
  const std::string plain(1000, 'x');
  std::string packed(ZSTD_compressBound(plain.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 1));
  std::string unpacked(plain.size(), '\0');
  ASSERT_EQ(ZSTD_decompress(unpacked.data(), unpacked.size(), packed.data(), packed.size()),
            plain.size());
  EXPECT_EQ(unpacked, plain);
}

TEST(Dependencies, json__parses) {
  EXPECT_EQ(nlohmann::json::parse(R"({"calls": 7})")["calls"], 7);
}

TEST(Dependencies, beast__parses_a_request) {
  boost::beast::http::request_parser<boost::beast::http::string_body> parser;
  boost::beast::error_code error;
  parser.put(boost::asio::buffer(std::string("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")), error);
  ASSERT_FALSE(error) << error.message();
  EXPECT_EQ(parser.get().target(), "/metrics");
}

TEST(Dependencies, openssl__is_version_3) {
  EXPECT_THAT(OpenSSL_version(OPENSSL_VERSION), testing::StartsWith("OpenSSL 3."));
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  EXPECT_NE(context, nullptr);
  SSL_CTX_free(context);
}

}  // namespace
}  // namespace flightrec::smoke
