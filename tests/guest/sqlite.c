/* SQLite in memory: a workload of tables, indexes, joins, triggers, transactions, windows, recursion and JSON. What it
 * prints is the same on every ground. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

static sqlite3 *db;

static void run(const char *sql)
{
    char *error = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &error) == SQLITE_OK)
        return;
    printf("%s: %s\n", sql, error);
    exit(1);
}

/* The first row of (sql), its columns with bars between. */
static void show(const char *what, const char *sql)
{
    sqlite3_stmt *st;

    printf("%-22s", what);
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK) {
        printf(" %s\n", sqlite3_errmsg(db));
        exit(1);
    }
    if (sqlite3_step(st) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(st); i++)
            printf(" %s", (const char *)sqlite3_column_text(st, i));
    sqlite3_finalize(st);
    putchar('\n');
}

static void fill(void)
{
    sqlite3_stmt *st;

    run("CREATE TABLE word(id INTEGER PRIMARY KEY, text TEXT UNIQUE, n INTEGER, blob BLOB)");
    run("CREATE TABLE use(word INTEGER REFERENCES word, at INTEGER, PRIMARY KEY(at)) WITHOUT ROWID");
    run("CREATE INDEX by_n ON word(n, text)");
    run("CREATE TABLE log(what TEXT)");
    run("CREATE TRIGGER told AFTER DELETE ON word BEGIN INSERT INTO log VALUES(old.text); END");
    run("BEGIN");
    sqlite3_prepare_v2(
        db, "INSERT INTO word(text, n, blob) VALUES(printf('w%05d', ?1), ?1 * 7919 % 1009, zeroblob(?1 % 64))", -1, &st,
        NULL);
    for (int i = 0; i < 4000; i++) {
        sqlite3_bind_int(st, 1, i);
        if (sqlite3_step(st) != SQLITE_DONE)
            exit(printf("%s\n", sqlite3_errmsg(db)) > 0);
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    run("INSERT INTO use SELECT id, id * 3 FROM word WHERE n % 2");
    run("COMMIT");
}

static void ask(void)
{
    show("count", "SELECT count(*), sum(n), sum(length(blob)) FROM word");
    show("join", "SELECT count(*), max(text) FROM word JOIN use ON use.word = word.id WHERE n BETWEEN 100 AND 500");
    show("index", "SELECT text FROM word WHERE n = 17 ORDER BY text DESC LIMIT 1");
    show("group", "SELECT n, count(*) c FROM word GROUP BY n ORDER BY c DESC, n LIMIT 1");
    show("window", "SELECT sum(s) FROM (SELECT sum(n) OVER (ORDER BY id ROWS 9 PRECEDING) s FROM word)");
    show("recursion",
         "WITH RECURSIVE f(a, b, i) AS (SELECT 0, 1, 0 UNION ALL SELECT b, a + b, i + 1 FROM f WHERE i < 80) "
         "SELECT a FROM f ORDER BY i DESC LIMIT 1");
    show("text", "SELECT upper(substr(group_concat(text, ''), 1, 20)), hex(zeroblob(3)), quote('it''s') FROM word");
    show("numbers", "SELECT 1.0 / 3, round(2.5), 9223372036854775807 + 1.0, abs(-5), 7 % 3, typeof(1e3)");
    show("dates", "SELECT datetime(1700000000, 'unixepoch'), julianday('2000-01-01'), strftime('%j', '2024-12-31')");
    show("json", "SELECT json_extract('{\"a\":[1,{\"b\":2}]}', '$.a[1].b'), json_array(1, 'x', NULL)");
    show("like", "SELECT count(*) FROM word WHERE text LIKE '%99' AND text GLOB 'w0[0-3]*'");
}

static void change(void)
{
    run("BEGIN; DELETE FROM word WHERE n < 100; UPDATE word SET n = n + 1 WHERE n > 900; ROLLBACK");
    show("after rollback", "SELECT count(*), (SELECT count(*) FROM log), sum(n) FROM word");
    run("SAVEPOINT s; DELETE FROM word WHERE n < 10; RELEASE s");
    show("after delete", "SELECT count(*), (SELECT count(*) FROM log) FROM word");
    show("constraint", "SELECT 1");
    if (sqlite3_exec(db, "INSERT INTO word(text) VALUES('w00100')", NULL, NULL, NULL) != SQLITE_CONSTRAINT)
        puts("a double was taken");
    puts(sqlite3_errmsg(db));
    run("VACUUM");
    run("CREATE VIRTUAL TABLE doc USING fts5(body)");
    run("INSERT INTO doc SELECT text || ' ' || n || ' lorem ipsum' FROM word LIMIT 300");
    show("full text", "SELECT count(*) FROM doc WHERE doc MATCH 'lorem AND w00200'");
    show("integrity", "PRAGMA integrity_check");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (sqlite3_open(":memory:", &db) != SQLITE_OK)
        return printf("%s\n", sqlite3_errmsg(db)), 1;
    fill();
    ask();
    change();
    sqlite3_close(db);
    printf("memory left %lld\n", (long long)sqlite3_memory_used());
    return 0;
}
