/* The SQLite file that Mooring writes and this plugin only reads.
 *
 * A question that cannot be answered gives FILE_UNREADABLE, never FILE_NONE: what is not read is
 * not removed. After a failure nothing is tried again for a moment, so that a broken file costs
 * nothing per message. */
#ifndef MOORING_ACCOUNTS_FILE_H
#define MOORING_ACCOUNTS_FILE_H

#include <stdbool.h>
#include <stdint.h>

enum { FILE_FORMAT = 1 };

enum file_answer { FILE_ROW, FILE_NONE, FILE_UNREADABLE };

struct limits {
    int64_t connections, messages, bytes; /* messages and bytes per second; -1: no limit */
};

struct account_row {
    const char *verifier, *next_verifier, *client_id; /* may be NULL */
    const char *values, *tenant;                      /* never NULL */
    const char *publish, *subscribe;                  /* filters, one a line; never NULL */
    bool locked, service;
    int64_t rights, epoch;
    struct limits limits;
};

/* After FILE_ROW, file_release ends the validity of the strings; call it soon: an open row keeps
 * Mooring from shortening the file's log. */
enum file_answer file_account(const char *username, struct account_row *row);
void file_release(void);
enum file_answer file_tenant(const char *name, struct limits *limits);
/* Whether the certificate with this serial is of this account. */
enum file_answer file_certificate(const char *serial, const char *username);
/* FILE_ROW: the client id belongs to an account that is not `username`. */
enum file_answer file_client_of_another(const char *client_id, const char *username);

/* Begins with `path`. The file need not be there yet. */
bool file_start(const char *path);
void file_stop(void);

/* Looks whether the file was replaced, removed, repaired or written to. */
void file_look(uint64_t now_ms);

/* Takes in at most `most` rows of the change table, calling for each account named. Returns
 * whether there are more. `everything` is called once when a row names none, or rows are missing.
 */
struct file_changes {
    void (*account)(const char *username);
    void (*everything)(void);
};
bool file_take_changes(const struct file_changes *take, int most);
/* There may be changes: look at the table at the next file_take_changes. */
void file_expect_changes(void);
bool file_changes_expected(void);

/* The number of the last change taken in. */
int64_t file_change(void);

/* "ok", or what is wrong, with SQLite's own words in `*detail`. */
const char *file_state(const char **detail);

#endif
