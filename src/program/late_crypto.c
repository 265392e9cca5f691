/* OpenSSL for the host tool, loaded by the first call that needs it. Linked in it would cost every short command some
 * 90 page faults, as its tables hold addresses; loaded at the start, twice as many. The names are OpenSSL's own, as far
 * as src/crypt/cipher.c uses them; where the library is missing its beginning fails, and this says why.
 * SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define LIBRARY "libcrypto.so.3"

/* All of its functions that are called here: VALUE gives one, NOTHING does not. */
#define FUNCTIONS(VALUE, NOTHING)                                                                                \
    VALUE(int, OPENSSL_init_crypto, (uint64_t a, const OPENSSL_INIT_SETTINGS *b), (a, b))                        \
    VALUE(int, CRYPTO_THREAD_run_once, (CRYPTO_ONCE * a, void (*b)(void)), (a, b))                               \
    VALUE(OSSL_LIB_CTX *, OSSL_LIB_CTX_new, (void), ())                                                          \
    VALUE(int, RAND_priv_bytes_ex, (OSSL_LIB_CTX * a, unsigned char *b, size_t n, unsigned int s), (a, b, n, s)) \
    VALUE(EVP_CIPHER *, EVP_CIPHER_fetch, (OSSL_LIB_CTX * a, const char *b, const char *c), (a, b, c))           \
    NOTHING(EVP_CIPHER_free, (EVP_CIPHER * a), (a))                                                              \
    VALUE(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, (void), ())                                                      \
    NOTHING(EVP_CIPHER_CTX_free, (EVP_CIPHER_CTX * a), (a))                                                      \
    VALUE(int, EVP_EncryptInit_ex2,                                                                              \
          (EVP_CIPHER_CTX * a, const EVP_CIPHER *b, const unsigned char *k, const unsigned char *v,              \
           const OSSL_PARAM p[]),                                                                                \
          (a, b, k, v, p))                                                                                       \
    VALUE(int, EVP_EncryptUpdate, (EVP_CIPHER_CTX * a, unsigned char *o, int *m, const unsigned char *i, int n), \
          (a, o, m, i, n))                                                                                       \
    VALUE(int, EVP_DecryptInit_ex2,                                                                              \
          (EVP_CIPHER_CTX * a, const EVP_CIPHER *b, const unsigned char *k, const unsigned char *v,              \
           const OSSL_PARAM p[]),                                                                                \
          (a, b, k, v, p))                                                                                       \
    VALUE(int, EVP_DecryptUpdate, (EVP_CIPHER_CTX * a, unsigned char *o, int *m, const unsigned char *i, int n), \
          (a, o, m, i, n))                                                                                       \
    VALUE(EVP_MD *, EVP_MD_fetch, (OSSL_LIB_CTX * a, const char *b, const char *c), (a, b, c))                   \
    NOTHING(EVP_MD_free, (EVP_MD * a), (a))                                                                      \
    VALUE(int, EVP_MD_get_block_size, (const EVP_MD *a), (a))                                                    \
    VALUE(EVP_MD_CTX *, EVP_MD_CTX_new, (void), ())                                                              \
    NOTHING(EVP_MD_CTX_free, (EVP_MD_CTX * a), (a))                                                              \
    VALUE(int, EVP_MD_CTX_copy_ex, (EVP_MD_CTX * a, const EVP_MD_CTX *b), (a, b))                                \
    VALUE(int, EVP_DigestInit_ex2, (EVP_MD_CTX * a, const EVP_MD *b, const OSSL_PARAM p[]), (a, b, p))           \
    VALUE(int, EVP_DigestUpdate, (EVP_MD_CTX * a, const void *b, size_t n), (a, b, n))                           \
    VALUE(int, EVP_DigestFinal_ex, (EVP_MD_CTX * a, unsigned char *b, unsigned int *n), (a, b, n))

#define MEMBER(type, name, takes, passes) type(*name) takes;
#define MEMBER_OF_NOTHING(name, takes, passes) void(*name) takes;
static struct {
    FUNCTIONS(MEMBER, MEMBER_OF_NOTHING)
} library;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int there;

static int find(void *handle, const char *name, void *function)
{
    void *p = dlsym(handle, name);

    memcpy(function, &p, sizeof(p)); /* a function's address has no other way out of dlsym */
    return p != NULL;
}

static void load(void)
{
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    const char *missing = NULL;

#define FIND(type, name, takes, passes) FIND_NOTHING(name, takes, passes)
#define FIND_NOTHING(name, takes, passes)              \
    if (handle && !find(handle, #name, &library.name)) \
        missing = #name;
    FUNCTIONS(FIND, FIND_NOTHING)
    there = handle && !missing;
    if (!there)
        fprintf(stderr, "xenkit: no encryption without " LIBRARY " (apt-get install libssl3): %s\n",
                missing ? missing : dlerror());
}

static int ready(void)
{
    pthread_once(&once, load);
    return there;
}

/* What gives nothing frees (a): without the library nothing was begun. */
#define CALL(type, name, takes, passes) \
    type name takes { return ready() ? library.name passes : (type)0; }
#define CALL_NOTHING(name, takes, passes) \
    void name takes                       \
    {                                     \
        if (a && ready())                 \
            library.name passes;          \
    }
FUNCTIONS(CALL, CALL_NOTHING)

/* These two are short, and the first is called where nothing is encrypted. */

void OPENSSL_cleanse(void *p, size_t n) { explicit_bzero(p, n); }

int CRYPTO_memcmp(const void *a, const void *b, size_t n)
{
    const volatile unsigned char *x = a, *y = b; /* all are looked at, whatever they are */
    unsigned char differ = 0;

    for (size_t i = 0; i < n; i++)
        differ |= x[i] ^ y[i];
    return differ;
}
