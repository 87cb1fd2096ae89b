/* libcrypto and libsqlite3, found at load time.
 *
 * Nothing is linked and no development package is needed: `cc` alone builds the plugin.
 * libcrypto is the one that the broker has loaded, whatever its version; a certificate that the
 * broker hands over must be read by the same library. */
#ifndef MOORING_LIBRARIES_H
#define MOORING_LIBRARIES_H

#include <stddef.h>
#include <stdint.h>

/* --- libcrypto: OpenSSL 1.1, 3 and later, LibreSSL -------------------------------------- */

typedef struct evp_md_st EVP_MD;
typedef struct x509_st X509;
typedef struct x509_name_st X509_NAME;
typedef struct x509_name_entry_st X509_NAME_ENTRY;
typedef struct asn1_string_st ASN1_STRING;
typedef struct bignum_st BIGNUM;

enum { NID_commonName = 13 };

#define CRYPTO_FUNCTIONS(X)                                                                        \
    X(const EVP_MD *, EVP_sha256, (void))                                                          \
    X(const EVP_MD *, EVP_sha512, (void))                                                          \
    X(int, PKCS5_PBKDF2_HMAC,                                                                      \
      (const char *password, int password_len, const unsigned char *salt, int salt_len,            \
       int rounds, const EVP_MD *md, int out_len, unsigned char *out))                             \
    X(unsigned char *, HMAC,                                                                       \
      (const EVP_MD *md, const void *key, int key_len, const unsigned char *data, size_t data_len, \
       unsigned char *out, unsigned int *out_len))                                                 \
    X(int, CRYPTO_memcmp, (const void *a, const void *b, size_t len))                              \
    X(int, RAND_bytes, (unsigned char *out, int len))                                              \
    X(X509_NAME *, X509_get_subject_name, (const X509 *certificate))                               \
    X(ASN1_STRING *, X509_get_serialNumber, (X509 * certificate))                                  \
    X(int, X509_NAME_get_index_by_NID, (X509_NAME * name, int nid, int after))                     \
    X(X509_NAME_ENTRY *, X509_NAME_get_entry, (const X509_NAME *name, int at))                     \
    X(ASN1_STRING *, X509_NAME_ENTRY_get_data, (const X509_NAME_ENTRY *entry))                     \
    X(int, ASN1_STRING_to_UTF8, (unsigned char **out, const ASN1_STRING *text))                    \
    X(BIGNUM *, ASN1_INTEGER_to_BN, (const ASN1_STRING *number, BIGNUM *into))                     \
    X(int, BN_num_bits, (const BIGNUM *number))                                                    \
    X(int, BN_bn2bin, (const BIGNUM *number, unsigned char *out))                                  \
    X(void, BN_free, (BIGNUM * number))                                                            \
    X(void, CRYPTO_free, (void *memory, const char *file, int line))                               \
    X(void, X509_free, (X509 * certificate))

/* --- libsqlite3 ------------------------------------------------------------------------- */

typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;

enum {
    SQLITE_OK = 0,
    SQLITE_BUSY = 5,
    SQLITE_LOCKED = 6,
    SQLITE_CORRUPT = 11,
    SQLITE_NOTADB = 26,
    SQLITE_ROW = 100,
    SQLITE_DONE = 101,
};
enum { SQLITE_OPEN_READONLY = 0x1, SQLITE_OPEN_NOMUTEX = 0x8000, SQLITE_PREPARE_PERSISTENT = 1 };

typedef void (*sqlite3_destructor_type)(void *);
#define SQLITE_STATIC ((sqlite3_destructor_type)0)

#define SQLITE_FUNCTIONS(X)                                                                        \
    X(int, sqlite3_open_v2, (const char *path, sqlite3 **db, int flags, const char *vfs))          \
    X(int, sqlite3_close, (sqlite3 * db))                                                          \
    X(int, sqlite3_busy_timeout, (sqlite3 * db, int ms))                                           \
    X(const char *, sqlite3_errmsg, (sqlite3 * db))                                                \
    X(int, sqlite3_prepare_v3,                                                                     \
      (sqlite3 * db, const char *sql, int len, unsigned int flags, sqlite3_stmt **statement,       \
       const char **tail))                                                                         \
    X(int, sqlite3_finalize, (sqlite3_stmt * statement))                                           \
    X(int, sqlite3_step, (sqlite3_stmt * statement))                                               \
    X(int, sqlite3_reset, (sqlite3_stmt * statement))                                              \
    X(int, sqlite3_bind_text,                                                                      \
      (sqlite3_stmt * statement, int at, const char *text, int len, sqlite3_destructor_type free)) \
    X(int, sqlite3_bind_int64, (sqlite3_stmt * statement, int at, int64_t value))                  \
    X(const unsigned char *, sqlite3_column_text, (sqlite3_stmt * statement, int at))              \
    X(int, sqlite3_column_bytes, (sqlite3_stmt * statement, int at))                               \
    X(int64_t, sqlite3_column_int64, (sqlite3_stmt * statement, int at))                           \
    X(int, sqlite3_column_type, (sqlite3_stmt * statement, int at))

enum { SQLITE_NULL = 5 };

#define MEMBER(type, name, parameters) type(*name) parameters;
struct crypto_library {
    CRYPTO_FUNCTIONS(MEMBER)
};
struct sqlite_library {
    SQLITE_FUNCTIONS(MEMBER)
};
#undef MEMBER

/* The broker's client with this id, connected or absent: since 2.1, otherwise NULL. One that is
 * logging in is none yet. */
struct mosquitto;
extern struct mosquitto *(*find_client)(const char *client_id);

extern struct crypto_library crypto;
extern struct sqlite_library sqlite;

/* Fills both. `sqlite_path` names an unusual libsqlite3, or is NULL. On failure returns a
 * sentence that says what is missing; on success NULL. */
const char *libraries_load(const char *sqlite_path);

#endif
