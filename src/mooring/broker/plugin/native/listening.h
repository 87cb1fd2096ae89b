/* Which topics a live session is subscribed to, so that the platform hands a command over only
 * while its device listens.
 *
 * Only subscriptions that this plugin accepted are known. Of a session that the broker resumed, the
 * broker says that there are some, not which. */
#ifndef MOORING_LISTENING_H
#define MOORING_LISTENING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

struct mosquitto;
struct session;

/* Where the plugin says that a device has subscribed: its username, QoS 0. */
#define LISTENING_TOPIC "$mooring/authority/subscribed"

struct listened;

/* An accepted SUBSCRIBE. Whether it is to be told: of a session that subscribes without end, only
 * the first ones in a second are. */
bool listening_subscribed(struct session *session, const char *filter, uint64_t now_ms);
void listening_unsubscribed(struct session *session, const char *filter);

/* Frees what is kept of a session. */
void listening_forget(struct session *session);

/* Adds to the answer, for each pair in `request`, the number of a live session of the account that
 * listens to the topic, or 0. `"listening": "USER.TOPIC-USER.TOPIC"`, both in hex. */
void listening_answer(struct text *out, const char *request, size_t n);

#endif
