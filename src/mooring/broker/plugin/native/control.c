#include "control.h"

#include <string.h>

#include "accounts.h"
#include "accounts_file.h"
#include "clock.h"
#include "counters.h"
#include "evidence.h"
#include "listening.h"
#include "sessions.h"

enum { TURN_US = 2000, CHANGES_AT_ONCE = 500, NONCE_MOST = 64 };

struct counters counters;

static void changed(const char *username)
{
    struct account *account = accounts_held(username);
    if (account == NULL)
        return;
    accounts_changed(account);
    sessions_due(account);
}

static void all_changed(void)
{
    accounts_all_changed();
    sessions_all_due();
}

bool control_work(const struct mosquitto *handled)
{
    static const struct file_changes take = {changed, all_changed};
    uint64_t until_us = clock_us() + TURN_US;
    while (file_changes_expected() && file_take_changes(&take, CHANGES_AT_ONCE))
        if (clock_us() >= until_us)
            return true;
    if (sessions_pending() > 0)
        sessions_work(until_us, handled);
    bool more = sessions_pending() > 0;
    return (!more && accounts_tidy(until_us)) || more;
}

/* The text of a field that needs no escape: only such characters are taken. `name` with its quotes.
 * Returns its length; 0: there is none, or it has other characters. */
static size_t word_in(const char *request, size_t n, const char *name, size_t most,
                      const char **word)
{
    static const char DIGITS[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    const char *at = request == NULL ? NULL : memmem(request, n, name, strlen(name));
    if (at == NULL)
        return 0;
    const char *end = request + n;
    at += strlen(name);
    while (at < end && (*at == ' ' || *at == ':'))
        at++;
    if (at == end || *at != '"')
        return 0;
    const char *start = ++at;
    while (at < end && *at != '\0' && strchr(DIGITS, *at) != NULL)
        at++;
    if (at == end || *at != '"' || (size_t)(at - start) > most)
        return 0;
    *word = start;
    return (size_t)(at - start);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool control_asks_about(const char *request, size_t n, char *username, size_t room)
{
    const char *hex;
    size_t digits = word_in(request, n, "\"about\"", 2 * (room - 1), &hex);
    if (digits == 0 || digits % 2 != 0)
        return false;
    for (size_t i = 0; i < digits; i += 2) {
        int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);
        if (high < 0 || low < 0)
            return false;
        username[i / 2] = (char)(high * 16 + low);
    }
    username[digits / 2] = '\0';
    return true;
}

bool control_asks_replay(const char *request, size_t n)
{
    static const char WORD[] = "\"replay\"";
    return request != NULL && memmem(request, n, WORD, sizeof WORD - 1) != NULL;
}

static void number(struct text *out, const char *name, uint64_t value)
{
    text_add(out, ",\"");
    text_add(out, name);
    text_add(out, "\":");
    text_number(out, (int64_t)value);
}

static void string(struct text *out, const char *name, const char *value)
{
    text_add(out, ",\"");
    text_add(out, name);
    text_add(out, "\":");
    text_string(out, value, strlen(value), 256);
}

void control_answer(struct text *out, const char *request, size_t n)
{
    const char *nonce = "", *detail;
    size_t len = word_in(request, n, "\"nonce\"", NONCE_MOST, &nonce);
    const char *state = file_state(&detail);
    text_add(out, "{\"nonce\":");
    text_string(out, nonce, len, NONCE_MOST);
    number(out, "seq", (uint64_t)file_change());
    number(out, "pending_kicks", sessions_pending());
    string(out, "boot", evidence_boot());
    number(out, "format", FILE_FORMAT);
    string(out, "file", state);
    string(out, "detail", detail);
    number(out, "accounts", accounts_count());
    number(out, "sessions", sessions_count());
    number(out, "logins", counters.logins);
    number(out, "refused", counters.refused);
    number(out, "denied", counters.denied);
    number(out, "limited", counters.limited);
    number(out, "put_off", counters.put_off);
    number(out, "oversize", counters.oversize);
    number(out, "kicked", counters.kicked);
    number(out, "loads", counters.loads);
    number(out, "changes", counters.changes);
    number(out, "unread", counters.unread);
    number(out, "events", counters.events);
    number(out, "repeated", counters.repeated);
    listening_answer(out, request, n);
    text_add(out, "}");
}
