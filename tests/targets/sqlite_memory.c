// A database in memory: inserts, an index, joins, aggregates, updates, deletes, all from a fixed
// sequence. Usage: sqlite_memory ROWS. Linked with SQLite's amalgamation.
//
// Prints `sum N`, which says that every run did the same, then the workload's times on one line:
// `cpu_ms X wall_ms Y`.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sqlite3.h"

static double Milliseconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void Check(sqlite3* database, int status) {
  if (status == SQLITE_OK || status == SQLITE_ROW || status == SQLITE_DONE) return;
  fprintf(stderr, "sqlite_memory: %s\n", sqlite3_errmsg(database));
  exit(1);
}

static void Execute(sqlite3* database, const char* statement) {
  Check(database, sqlite3_exec(database, statement, NULL, NULL, NULL));
}

static void Insert(sqlite3* database, int rows) {
  sqlite3_stmt* insert = NULL;
  uint32_t random = 12345;
  Check(database,
        sqlite3_prepare_v2(database, "INSERT INTO items VALUES(?1, ?2, ?3)", -1, &insert, NULL));
  for (int row = 0; row < rows; ++row) {
    char name[32];
    random = random * 1664525u + 1013904223u;
    int length = snprintf(name, sizeof(name), "item %u", (random >> 8) % 5000);
    sqlite3_bind_int(insert, 1, row);
    sqlite3_bind_text(insert, 2, name, length, SQLITE_TRANSIENT);
    sqlite3_bind_int(insert, 3, (int)(random % 1000));
    Check(database, sqlite3_step(insert));
    Check(database, sqlite3_reset(insert));
  }
  Check(database, sqlite3_finalize(insert));
}

static int64_t Sum(sqlite3* database, const char* statement) {
  sqlite3_stmt* query = NULL;
  int64_t sum = 0;
  Check(database, sqlite3_prepare_v2(database, statement, -1, &query, NULL));
  while (sqlite3_step(query) == SQLITE_ROW) sum += sqlite3_column_int64(query, 0);
  Check(database, sqlite3_finalize(query));
  return sum;
}

static int64_t Work(sqlite3* database, int rows) {
  Execute(database, "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, price INTEGER); BEGIN");
  Insert(database, rows);
  Execute(database, "COMMIT; CREATE INDEX by_name ON items(name)");
  int64_t sum = Sum(database, "SELECT sum(price) FROM items GROUP BY name ORDER BY 1 DESC");
  sum += Sum(database,
             "SELECT count(*) FROM items a JOIN items b ON a.name = b.name WHERE a.price > 900");
  sum += Sum(database, "SELECT length(upper(name)) + price % 7 FROM items WHERE name LIKE '%7%'");
  Execute(database, "UPDATE items SET price = price + 1 WHERE price % 3 = 0");
  Execute(database, "DELETE FROM items WHERE price % 5 = 0");
  return sum + Sum(database, "SELECT price FROM items ORDER BY price, name");
}

int main(int argc, char** argv) {
  int rows = argc == 2 ? atoi(argv[1]) : 0;
  if (rows < 1) {
    fprintf(stderr, "usage: sqlite_memory ROWS\n");
    return 2;
  }
  double wall = Milliseconds(CLOCK_MONOTONIC);
  double cpu = Milliseconds(CLOCK_THREAD_CPUTIME_ID);
  sqlite3* database = NULL;
  Check(database, sqlite3_open(":memory:", &database));
  int64_t sum = Work(database, rows);
  sqlite3_close(database);
  cpu = Milliseconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
  wall = Milliseconds(CLOCK_MONOTONIC) - wall;
  printf("sum %lld\ncpu_ms %.3f wall_ms %.3f\n", (long long)sum, cpu, wall);
  return 0;
}
