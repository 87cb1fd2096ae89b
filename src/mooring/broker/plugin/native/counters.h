/* What the plugin counts; all of it is in the answer on the control topic. */
#ifndef MOORING_COUNTERS_H
#define MOORING_COUNTERS_H

#include <stdint.h>

struct counters {
    uint64_t logins;   /* accepted */
    uint64_t refused;  /* logins */
    uint64_t denied;   /* topics */
    uint64_t limited;  /* clients disconnected for their rate */
    uint64_t put_off;  /* logins of such clients, before they may send again */
    uint64_t oversize; /* messages */
    uint64_t kicked;   /* sessions ended because the accounts say so */
    uint64_t loads;    /* accounts read from the file */
    uint64_t changes;  /* rows of the change table taken in */
    uint64_t unread;   /* questions that the file did not answer */
    uint64_t events;   /* sent */
    uint64_t repeated; /* events counted into a later one */
};

extern struct counters counters;

#endif
