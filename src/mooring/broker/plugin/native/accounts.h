/* The accounts in use, as they were last read.
 *
 * An account is read when a client logs in with it, and again when a change names it: not at the
 * change, but before the next decision about it. What is held needs about 200 bytes. */
#ifndef MOORING_ACCOUNTS_H
#define MOORING_ACCOUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "accounts_file.h"
#include "passwords.h"

struct session;

/* Filters that several accounts share; their values are filled in when a topic is compared. */
struct filter {
    const char *text;
    uint32_t len;
};
struct rights {
    struct rights *next;
    int64_t id;
    uint32_t generation, references;
    uint16_t publishes, subscribes;
    struct filter filters[]; /* first those to publish to */
};

/* How much may be sent: full at the start, refilled with time. In thousandths. */
struct bucket {
    int64_t messages, bytes;
    uint64_t at_ms;
};

struct tenant {
    struct tenant *next;
    struct limits limits;
    struct bucket bucket;
    uint32_t generation, references, connections;
    char name[];
};

/* Limits of an account that has any. */
struct meter {
    struct limits limits;
    struct bucket bucket;
};

/* What tells one password of an account from another: the beginning of its verifier's salt. */
enum { KEY_TEXT = 17 };

struct account {
    struct account *next;     /* in its slot of the table */
    struct session *sessions; /* live ones */
    struct rights *rights;
    struct tenant *tenant; /* NULL: of no tenant */
    struct meter *meter;   /* NULL: no limits */
    int64_t epoch;
    uint64_t marks[2];    /* which verifiers were read; 0: none */
    struct tag proofs[2]; /* of the passwords that fitted them, once one did */
    uint64_t wrong;       /* the last wrong password */
    uint64_t last_client; /* client id of the last accepted login */
    uint64_t last_serial; /* certificate of it, if there was one */
    uint64_t wants;       /* bytes of its last message, and one, if that exceeded a limit */
    uint32_t slot, generation;
    uint32_t connections; /* sessions that are not about to be replaced */
    uint32_t client_at, values_at;
    uint16_t last_publish, last_subscribe; /* filters that allowed the last topics */
    bool locked, service, gone, stale, fixed_client, proved[2];
    char keys[2][KEY_TEXT];
    char text[]; /* username, client id, values: one after the other, each with its NUL */
};

static inline const char *account_client_id(const struct account *account)
{
    return account->fixed_client ? account->text + account->client_at : NULL;
}

static inline const char *account_values(const struct account *account)
{
    return account->text + account->values_at;
}

/* The account as it is in the file now. FILE_UNREADABLE with an account in `*out`: it is known
 * from before, and the file cannot say whether it changed. FILE_NONE may come with one whose
 * sessions have not ended yet. */
enum file_answer accounts_get(const char *username, struct account **out);

/* The same for a topic, which is asked more often than a login: that there is no such account is
 * remembered until the next change. */
enum file_answer accounts_get_for_topic(const char *username, struct account **out);

/* The same for an account at hand; the account may move. */
enum file_answer accounts_again(struct account *held, struct account **out);

/* Not read; NULL when it is not held. */
struct account *accounts_held(const char *username);

/* Whether the password is the account's. PASSWORD_CHANGED: the file has other verifiers by now; get
 * the account again. */
enum password {
    PASSWORD_OWN,
    PASSWORD_NEXT,
    PASSWORD_WRONG,
    PASSWORD_UNREADABLE,
    PASSWORD_CHANGED
};
enum password accounts_password(struct account *account, const char *password);

/* What is held of an account may have changed; of all accounts. */
void accounts_changed(struct account *account);
void accounts_all_changed(void);

/* Forgets an account that is gone and has no sessions. */
void accounts_forget_if_gone(struct account *account);

/* Re-reads accounts without sessions that changed, a few at a time. Whether some may be left. */
bool accounts_tidy(uint64_t until_us);

uint32_t accounts_count(void);
bool accounts_start(void);
void accounts_stop(void);

#endif
