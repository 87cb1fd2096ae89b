/* Taking in changes, bounded in time, and the answer that says how far it came. */
#ifndef MOORING_CONTROL_H
#define MOORING_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

struct mosquitto;

/* Does some of what is to be done: changes, sessions that must end, accounts to read again. At most
 * about two milliseconds, so that nobody waits longer for a message. `handled`: see
 * sessions_work. Returns whether there is more. */
bool control_work(const struct mosquitto *handled);

/* The answer to a request {"nonce": "..."}. */
void control_answer(struct text *out, const char *request, size_t n);

/* Whether the request also asks for the logins of live sessions. */
bool control_asks_replay(const char *request, size_t n);

/* Whether it asks what is counted of an account and was not sent yet: "about" with the username in
 * lower-case hex. A longer username than fits is none. */
bool control_asks_about(const char *request, size_t n, char *username, size_t room);

#endif
