/* Whether a CONNECT is accepted. The same rules as login() in mooring/broker/access_rules.py. */
#ifndef MOORING_LOGIN_H
#define MOORING_LOGIN_H

#include <stdbool.h>

#include "accounts.h"
#include "certificate.h"

struct login {
    const char *username, *password; /* as in CONNECT; may be NULL */
    const char *client_id;
    const struct certificate *certificate;
};

struct login_verdict {
    const char *refused;     /* NULL: accepted; otherwise why not */
    const char *with;        /* "password", "new_password" or "certificate" */
    const char *key;         /* which password it was: see KEY_TEXT; NULL: none was shown */
    struct account *account; /* NULL: not known */
};

struct login_verdict login_decide(const struct login *login);

/* Remembers what an accepted login showed, for a time when the file cannot be read. */
void login_remember(struct account *account, const struct login *login);

#endif
