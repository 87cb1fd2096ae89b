#include "login.h"

#include <string.h>

#include "rights.h"
#include "sessions.h"

static const char SERVICE_PREFIX[] = "mooring-";

static uint64_t short_tag(const char *text)
{
    struct tag tag;
    return tag_of(text, strlen(text), &tag) ? tag_short(&tag) : 0;
}

/* NULL: the account is in `*out`. One that is known goes on with what is held of it while the file
 * cannot be read. */
static const char *find(const char *username, struct account **out)
{
    enum file_answer answer = accounts_get(username, out);
    if (answer == FILE_NONE) {
        if (*out != NULL)
            accounts_forget_if_gone(*out);
        *out = NULL;
        return "unknown_username";
    }
    if (*out == NULL)
        return "accounts_unreadable";
    if ((*out)->gone) {
        *out = NULL;
        return "unknown_username";
    }
    return NULL;
}

static const char *by_certificate(const struct login *login, struct account **account)
{
    const struct certificate *shown = login->certificate;
    if (shown->name[0] == '\0' || shown->serial[0] == '\0')
        return "certificate_unknown";
    if (login->username != NULL && login->username[0] != '\0' &&
        strcmp(login->username, shown->name) != 0)
        return "certificate_of_another";
    enum file_answer answer = file_certificate(shown->serial, shown->name);
    if (answer == FILE_NONE)
        return "certificate_unknown";
    const char *refused = find(shown->name, account);
    if (refused != NULL)
        return refused;
    if (answer == FILE_UNREADABLE &&
        ((*account)->last_serial == 0 || (*account)->last_serial != short_tag(shown->serial)))
        return "accounts_unreadable";
    return (*account)->locked ? "locked" : NULL;
}

static const char *by_password(const struct login *login, struct account **account,
                               enum password *which)
{
    if (login->username == NULL || login->username[0] == '\0')
        return "no_username";
    for (int tries = 0; tries < 2; tries++) {
        const char *refused = find(login->username, account);
        if (refused != NULL)
            return refused;
        if ((*account)->locked)
            return "locked";
        if ((*account)->marks[0] == 0 && (*account)->marks[1] == 0)
            return "certificate_only";
        if (login->password == NULL || login->password[0] == '\0')
            return "no_password";
        *which = accounts_password(*account, login->password);
        if (*which != PASSWORD_CHANGED)
            break;
        accounts_changed(*account); /* written since it was read: the newest counts */
    }
    if (*which == PASSWORD_WRONG)
        return "wrong_password";
    return *which == PASSWORD_OWN || *which == PASSWORD_NEXT ? NULL : "accounts_unreadable";
}

static const char *client_id(const struct login *login, const struct account *account)
{
    const char *id = login->client_id;
    if (strncmp(id, SERVICE_PREFIX, sizeof SERVICE_PREFIX - 1) == 0)
        return account->service ? NULL : "client_id_of_another";
    if (account->fixed_client)
        return strcmp(id, account_client_id(account)) == 0 ? NULL : "wrong_client_id";
    switch (file_client_of_another(id, account->text)) {
    case FILE_ROW:
        return "client_id_of_another";
    case FILE_UNREADABLE:
        if (account->last_client == 0 || account->last_client != short_tag(id))
            return "accounts_unreadable";
        break;
    case FILE_NONE:
        break;
    }
    return sessions_id_of_another(id, account) ? "client_id_of_another" : NULL;
}

static const char *connections(const struct login *login, const struct account *account)
{
    if (account->service)
        return NULL;
    int64_t replaced = sessions_replaced_by(login->client_id, account);
    if (account->meter != NULL && account->meter->limits.connections >= 0 &&
        account->connections - replaced >= account->meter->limits.connections)
        return "too_many_connections";
    const struct tenant *tenant = account->tenant;
    if (tenant != NULL && tenant->limits.connections >= 0 &&
        tenant->connections - replaced >= tenant->limits.connections)
        return "tenant_too_many_connections";
    return NULL;
}

struct login_verdict login_decide(const struct login *login)
{
    struct login_verdict verdict = {.with = "certificate"};
    enum password which = PASSWORD_WRONG;
    if (login->certificate->shown)
        verdict.refused = by_certificate(login, &verdict.account);
    else
        verdict.refused = by_password(login, &verdict.account, &which);
    if (!login->certificate->shown)
        verdict.with = which == PASSWORD_NEXT ? "new_password" : "password";
    if (!login->certificate->shown && verdict.refused == NULL)
        verdict.key = verdict.account->keys[which == PASSWORD_NEXT];
    if (verdict.refused == NULL)
        verdict.refused = client_id(login, verdict.account);
    if (verdict.refused == NULL)
        verdict.refused = connections(login, verdict.account);
    return verdict;
}

void login_remember(struct account *account, const struct login *login)
{
    if (!account->fixed_client)
        account->last_client = short_tag(login->client_id);
    if (login->certificate->shown)
        account->last_serial = short_tag(login->certificate->serial);
}
