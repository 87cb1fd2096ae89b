#include "accounts_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker.h"
#include "clock.h"
#include "counters.h"
#include "evidence.h"
#include "libraries.h"

enum { RETRY_BUSY_MS = 50, RETRY_MS = 1000 };

enum question { ACCOUNT, TENANT, CERTIFICATE, CLIENT, CHANGES, LAST, VERSION, FORMAT, QUESTIONS };

static const char *const SQL[QUESTIONS] = {
    [ACCOUNT] = "SELECT a.verifier, a.next_verifier, a.locked, a.client_id, a.rights, a.vars,"
                " a.tenant, a.service, a.epoch, a.max_connections, a.max_messages, a.max_bytes,"
                " r.publish, r.subscribe"
                " FROM account a LEFT JOIN rights r ON r.id = a.rights WHERE a.username = ?1",
    [TENANT] = "SELECT max_connections, max_messages, max_bytes FROM tenant WHERE name = ?1",
    [CERTIFICATE] = "SELECT username FROM certificate WHERE serial = ?1",
    [CLIENT] = "SELECT username FROM account WHERE client_id = ?1"
               " UNION ALL SELECT username FROM session WHERE client_id = ?1",
    [CHANGES] = "SELECT seq, username FROM change WHERE seq >= ?1 ORDER BY seq LIMIT ?2",
    [LAST] = "SELECT coalesce(max(seq), 0) FROM change",
    [VERSION] = "PRAGMA data_version",
    [FORMAT] = "PRAGMA user_version",
};

static struct {
    char *path;
    sqlite3 *db;
    sqlite3_stmt *statements[QUESTIONS];
    const char *trouble; /* NULL: none */
    char detail[200];
    uint64_t retry_ms;
    struct stat opened, failed; /* the file that was opened; the one that is corrupt */
    bool corrupt;
    int64_t version, change;
    bool expected, everything;
} file;

/* --- trouble --------------------------------------------------------------------------------- */

static void tell(const char *why)
{
    struct event event = {.kind = EVIDENCE_TROUBLE, .why = why, .detail = file.detail, .clean = -1};
    evidence_tell(&event, evidence_key(&event, NULL, NULL), clock_ms());
}

static void close_file(void)
{
    for (int i = 0; i < QUESTIONS; i++) {
        sqlite.sqlite3_finalize(file.statements[i]);
        file.statements[i] = NULL;
    }
    sqlite.sqlite3_close(file.db);
    file.db = NULL;
}

static void in_trouble(const char *why, const char *detail)
{
    if (file.trouble == NULL || strcmp(file.trouble, why) != 0) {
        file.trouble = why;
        file.detail[0] = '\0';
        strncat(file.detail, detail, sizeof file.detail - 1);
        mosquitto_log_printf(MOSQ_LOG_ERR, "mooring: %s cannot be read (%s): %s", file.path, why,
                             file.detail);
        tell(why);
    }
    file.retry_ms = clock_ms() + (strcmp(why, "busy") == 0 ? RETRY_BUSY_MS : RETRY_MS);
}

static void out_of_trouble(void)
{
    if (file.trouble == NULL)
        return;
    file.trouble = NULL;
    file.detail[0] = '\0';
    mosquitto_log_printf(MOSQ_LOG_NOTICE, "mooring: %s can be read again", file.path);
    tell("recovered");
}

/* A statement failed: says why, and closes the file unless it is only busy. */
static enum file_answer failed(int code)
{
    counters.unread++;
    int kind = code & 0xFF; /* of an extended code */
    if (kind == SQLITE_BUSY || kind == SQLITE_LOCKED) {
        in_trouble("busy", sqlite.sqlite3_errmsg(file.db));
        return FILE_UNREADABLE;
    }
    bool corrupt = kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB;
    in_trouble(corrupt ? "corrupt" : "unreadable",
               file.db != NULL ? sqlite.sqlite3_errmsg(file.db) : "out of memory");
    if (corrupt) {
        file.corrupt = true;
        if (stat(file.path, &file.failed) != 0)
            memset(&file.failed, 0, sizeof file.failed);
    }
    close_file();
    return FILE_UNREADABLE;
}

const char *file_state(const char **detail)
{
    *detail = file.detail;
    return file.trouble != NULL ? file.trouble : "ok";
}

/* --- opening --------------------------------------------------------------------------------- */

static bool number_of(enum question question, int64_t *out)
{
    sqlite3_stmt *statement = file.statements[question];
    int code = sqlite.sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *out = sqlite.sqlite3_column_int64(statement, 0);
    sqlite.sqlite3_reset(statement);
    if (code != SQLITE_ROW)
        failed(code);
    return code == SQLITE_ROW;
}

static bool prepare(enum question question)
{
    int code = sqlite.sqlite3_prepare_v3(file.db, SQL[question], -1, SQLITE_PREPARE_PERSISTENT,
                                         &file.statements[question], NULL);
    if (code != SQLITE_OK)
        failed(code);
    return code == SQLITE_OK;
}

/* Once a file was found corrupt, another is believed only when it was looked through. */
static bool looked_through(void)
{
    sqlite3_stmt *check = NULL;
    int code = sqlite.sqlite3_prepare_v3(file.db, "PRAGMA quick_check(1)", -1, 0, &check, NULL);
    if (code == SQLITE_OK)
        code = sqlite.sqlite3_step(check);
    bool good =
        code == SQLITE_ROW && strcmp((const char *)sqlite.sqlite3_column_text(check, 0), "ok") == 0;
    sqlite.sqlite3_finalize(check);
    if (!good)
        failed(code == SQLITE_ROW ? SQLITE_CORRUPT : code);
    return good;
}

static bool open_parts(void)
{
    int code = sqlite.sqlite3_open_v2(file.path, &file.db,
                                      SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) {
        failed(code);
        return false;
    }
    sqlite.sqlite3_busy_timeout(file.db, 0); /* the broker must not wait: it asks again later */
    int64_t format = 0, last = 0;
    if (!prepare(FORMAT) || !number_of(FORMAT, &format))
        return false;
    if (format != FILE_FORMAT) {
        in_trouble("format", format > FILE_FORMAT ? "the file is of a later version of Mooring"
                                                  : "the file is not an accounts file");
        return false;
    }
    if (file.corrupt && !looked_through())
        return false;
    for (int i = 0; i < QUESTIONS; i++)
        if (file.statements[i] == NULL && !prepare((enum question)i))
            return false;
    if (!number_of(VERSION, &file.version) || !number_of(LAST, &last))
        return false;
    file.corrupt = false;
    file.change = last;
    file.everything =
        true; /* whatever is held was read from another file, or another state of it */
    file.expected = true;
    out_of_trouble();
    return true;
}

static void open_file(void)
{
    if (stat(file.path, &file.opened) != 0)
        in_trouble(errno == ENOENT ? "missing" : "unreadable", strerror(errno));
    else if (!open_parts())
        close_file(); /* half of it open is of no use */
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool unchanged(const struct stat *a, const struct stat *b)
{
    return same_file(a, b) && a->st_size == b->st_size && a->st_mtime == b->st_mtime;
}

void file_look(uint64_t now_ms)
{
    struct stat now;
    if (stat(file.path, &now) != 0) {
        in_trouble(errno == ENOENT ? "missing" : "unreadable", strerror(errno));
        close_file();
        return;
    }
    if (file.db != NULL && !same_file(&now, &file.opened))
        close_file();
    if (file.db == NULL) {
        bool hopeless = file.corrupt && unchanged(&now, &file.failed);
        if (!hopeless && (now_ms >= file.retry_ms || !same_file(&now, &file.opened)))
            open_file();
        return;
    }
    int64_t version;
    if (number_of(VERSION, &version)) {
        out_of_trouble();
        if (version != file.version)
            file.expected = true;
        file.version = version;
    }
}

bool file_start(const char *path)
{
    memset(&file, 0, sizeof file);
    file.path = strdup(path);
    if (file.path == NULL)
        return false;
    open_file();
    file.everything = false; /* nothing is held yet */
    return true;
}

void file_stop(void)
{
    close_file();
    free(file.path);
    file.path = NULL;
}

/* --- questions ------------------------------------------------------------------------------- */

static bool answers(void)
{
    if (file.db != NULL && (file.trouble == NULL || clock_ms() >= file.retry_ms))
        return true;
    counters.unread++;
    return false;
}

/* Asks for one row. The statement must be reset after FILE_ROW. */
static enum file_answer ask(enum question question, const char *text)
{
    if (!answers())
        return FILE_UNREADABLE;
    sqlite3_stmt *statement = file.statements[question];
    sqlite.sqlite3_reset(statement); /* a row may still be held from the last time */
    int code = sqlite.sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite.sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        out_of_trouble();
        return FILE_ROW;
    }
    sqlite.sqlite3_reset(statement);
    if (code != SQLITE_DONE)
        return failed(code);
    out_of_trouble();
    return FILE_NONE;
}

static const char *text_at(sqlite3_stmt *statement, int at)
{
    return (const char *)sqlite.sqlite3_column_text(statement, at);
}

static const char *text_or_empty(sqlite3_stmt *statement, int at)
{
    const char *text = text_at(statement, at);
    return text != NULL ? text : "";
}

static int64_t limit_at(sqlite3_stmt *statement, int at)
{
    if (sqlite.sqlite3_column_type(statement, at) == SQLITE_NULL)
        return -1;
    int64_t limit = sqlite.sqlite3_column_int64(statement, at);
    return limit >= 0 ? limit : -1;
}

static struct limits limits_at(sqlite3_stmt *statement, int at)
{
    return (struct limits){limit_at(statement, at), limit_at(statement, at + 1),
                           limit_at(statement, at + 2)};
}

enum file_answer file_account(const char *username, struct account_row *row)
{
    enum file_answer answer = ask(ACCOUNT, username);
    if (answer != FILE_ROW)
        return answer;
    sqlite3_stmt *s = file.statements[ACCOUNT];
    *row = (struct account_row){
        .verifier = text_at(s, 0),
        .next_verifier = text_at(s, 1),
        .locked = sqlite.sqlite3_column_int64(s, 2) != 0,
        .client_id = text_at(s, 3),
        .rights = sqlite.sqlite3_column_int64(s, 4),
        .values = text_or_empty(s, 5),
        .tenant = text_or_empty(s, 6),
        .service = sqlite.sqlite3_column_int64(s, 7) != 0,
        .epoch = sqlite.sqlite3_column_int64(s, 8),
        .limits = limits_at(s, 9),
        .publish = text_or_empty(s, 12),
        .subscribe = text_or_empty(s, 13),
    };
    counters.loads++;
    return FILE_ROW;
}

void file_release(void)
{
    if (file.db != NULL)
        sqlite.sqlite3_reset(file.statements[ACCOUNT]);
}

enum file_answer file_tenant(const char *name, struct limits *limits)
{
    enum file_answer answer = ask(TENANT, name);
    if (answer == FILE_ROW) {
        *limits = limits_at(file.statements[TENANT], 0);
        sqlite.sqlite3_reset(file.statements[TENANT]);
    }
    return answer;
}

enum file_answer file_certificate(const char *serial, const char *username)
{
    enum file_answer answer = ask(CERTIFICATE, serial);
    if (answer == FILE_ROW) {
        if (strcmp(text_or_empty(file.statements[CERTIFICATE], 0), username) != 0)
            answer = FILE_NONE;
        sqlite.sqlite3_reset(file.statements[CERTIFICATE]);
    }
    return answer;
}

enum file_answer file_client_of_another(const char *client_id, const char *username)
{
    enum file_answer answer = ask(CLIENT, client_id);
    sqlite3_stmt *statement = file.statements[CLIENT];
    while (answer == FILE_ROW && strcmp(text_or_empty(statement, 0), username) == 0) {
        int code = sqlite.sqlite3_step(statement);
        if (code == SQLITE_DONE)
            answer = FILE_NONE;
        else if (code != SQLITE_ROW) {
            sqlite.sqlite3_reset(statement);
            return failed(code);
        }
    }
    if (answer != FILE_UNREADABLE)
        sqlite.sqlite3_reset(statement);
    return answer;
}

/* --- changes --------------------------------------------------------------------------------- */

void file_expect_changes(void)
{
    file.expected = true;
}

bool file_changes_expected(void)
{
    return file.expected && file.db != NULL &&
           (file.trouble == NULL || clock_ms() >= file.retry_ms);
}

int64_t file_change(void)
{
    return file.change;
}

static bool to_the_last(void)
{
    int64_t last;
    if (!number_of(LAST, &last))
        return false;
    file.change = last;
    file.expected = false;
    return true;
}

/* The row taken in last is read again: when it is gone, the rows after it may be gone, too. */
bool file_take_changes(const struct file_changes *take, int most)
{
    if (!file_changes_expected())
        return false;
    int rows = 0, code;
    sqlite3_stmt *statement = file.statements[CHANGES];
    sqlite.sqlite3_bind_int64(statement, 1, file.change);
    sqlite.sqlite3_bind_int64(statement, 2, most + 1);
    bool follows = file.change == 0;
    while ((code = sqlite.sqlite3_step(statement)) == SQLITE_ROW) {
        int64_t change = sqlite.sqlite3_column_int64(statement, 0);
        if (change == file.change) {
            follows = true;
            continue;
        }
        if (!follows || (file.change == 0 && change != 1)) {
            follows = false;
            break;
        }
        const char *username = text_at(statement, 1);
        if (username == NULL)
            file.everything = true; /* also if a later row cannot be read */
        else
            take->account(username);
        file.change = change;
        counters.changes++;
        rows++;
    }
    sqlite.sqlite3_reset(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        failed(code);
        return false;
    }
    if (!follows) {
        file.everything = true;
        if (!to_the_last())
            return false;
    } else if (rows < most) {
        file.expected = false;
    }
    if (file.everything) {
        file.everything = false;
        take->everything();
    }
    return file.expected;
}
