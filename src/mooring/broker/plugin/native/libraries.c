#include "libraries.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "hash.h"

struct crypto_library crypto;
struct sqlite_library sqlite;
uint64_t hash_seed;

/* Newest first. The broker's own libcrypto is found without a name; these are for a broker that
 * was built without TLS. */
static const char *const CRYPTO_NAMES[] = {
#ifdef __APPLE__
    "/opt/homebrew/opt/openssl@3/lib/libcrypto.3.dylib",
    "/usr/local/opt/openssl@3/lib/libcrypto.3.dylib",
#else
    "libcrypto.so.3",
    "libcrypto.so.1.1",
#endif
    NULL,
};

static const char *const SQLITE_NAMES[] = {
#ifdef __APPLE__
    "/usr/lib/libsqlite3.dylib", /* part of the system */
    "libsqlite3.dylib",
#else
    "libsqlite3.so.0",
    "libsqlite3.so",
#endif
    NULL,
};

struct wanted {
    const char *name;
    void *where; /* of the pointer to fill */
};

static char complaint[256];

static const char *fill(void *library, const struct wanted *wanted, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        void *found = dlsym(library, wanted[i].name);
        if (found == NULL) {
            snprintf(complaint, sizeof complaint, "%s has no function %s", what, wanted[i].name);
            return complaint;
        }
        /* POSIX says that a pointer from dlsym may be a function; ISO C has no cast for it. */
        memcpy(wanted[i].where, &found, sizeof found);
    }
    return NULL;
}

static void *open_first(const char *const *names)
{
    for (; *names != NULL; names++) {
        void *library = dlopen(*names, RTLD_NOW | RTLD_LOCAL);
        if (library != NULL)
            return library;
    }
    return NULL;
}

static const char *load_crypto(void)
{
#define WANTED(type, name, parameters) {#name, &crypto.name},
    static const struct wanted functions[] = {CRYPTO_FUNCTIONS(WANTED)};
#undef WANTED
    const size_t n = sizeof functions / sizeof functions[0];
    if (fill(RTLD_DEFAULT, functions, n, "the broker's libcrypto") == NULL)
        return NULL;
    void *library = open_first(CRYPTO_NAMES);
    if (library == NULL)
        return "libcrypto (OpenSSL 3 or 1.1) was not found";
    return fill(library, functions, n, "libcrypto");
}

static const char *load_sqlite(const char *path)
{
#define WANTED(type, name, parameters) {#name, &sqlite.name},
    static const struct wanted functions[] = {SQLITE_FUNCTIONS(WANTED)};
#undef WANTED
    const char *named[] = {path, NULL};
    void *library = open_first(path != NULL ? named : SQLITE_NAMES);
    if (library == NULL)
        return "libsqlite3 was not found (Debian's package is libsqlite3-0)";
    return fill(library, functions, sizeof functions / sizeof functions[0], "libsqlite3");
}

struct mosquitto *(*find_client)(const char *client_id);

const char *libraries_load(const char *sqlite_path)
{
    void *found = dlsym(RTLD_DEFAULT, "mosquitto_client");
    memcpy(&find_client, &found, sizeof found);
    const char *wrong = load_crypto();
    if (wrong == NULL)
        wrong = load_sqlite(sqlite_path);
    if (wrong == NULL && crypto.RAND_bytes((unsigned char *)&hash_seed, sizeof hash_seed) != 1)
        wrong = "libcrypto gives no random numbers";
    return wrong;
}
