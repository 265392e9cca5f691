/* OpenSSL without a file: known answers of digests, ciphers and key derivation, keys made and used, a TLS 1.3 handshake
 * between two ends in memory. Without entropy the parts that need it refuse, the others run. What it prints is the same
 * on every ground that has entropy. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

static void hex(const char *what, const unsigned char *p, size_t n)
{
    printf("%-16s ", what);
    for (size_t i = 0; i < n; i++)
        printf("%02x", p[i]);
    putchar('\n');
}

static void digests(void)
{
    static const char *const names[] = {"MD5", "SHA1", "SHA256", "SHA512", "SHA3-256", "BLAKE2b512"};
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned n;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (EVP_Digest("abc", 3, out, &n, EVP_get_digestbyname(names[i]), NULL))
            hex(names[i], out, n);
}

static void ciphers(void)
{
    static const char *const names[] = {"AES-128-CBC", "AES-256-CTR", "AES-256-XTS", "CHACHA20", "CAMELLIA-128-CBC"};
    unsigned char key[64], iv[16], out[128];
    int n, tail;

    for (int i = 0; i < 64; i++)
        key[i] = (unsigned char)i;
    memset(iv, 9, sizeof(iv));
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
        if (EVP_EncryptInit_ex(c, EVP_get_cipherbyname(names[i]), NULL, key, iv) &&
            EVP_EncryptUpdate(c, out, &n, (const unsigned char *)"forty-eight bytes of text, to be made secret now",
                              48) &&
            EVP_EncryptFinal_ex(c, out + n, &tail))
            hex(names[i], out, (size_t)(n + tail));
        EVP_CIPHER_CTX_free(c);
    }
}

static void gcm(void)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    unsigned char key[32] = {1}, iv[12] = {2}, out[64], tag[16], back[64];
    int n, m;

    EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, iv);
    EVP_EncryptUpdate(c, NULL, &n, (const unsigned char *)"head", 4);
    EVP_EncryptUpdate(c, out, &n, (const unsigned char *)"the body", 8);
    EVP_EncryptFinal_ex(c, out + n, &m);
    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, tag);
    hex("AES-256-GCM", tag, 16);
    tag[3] ^= 1;
    EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, iv);
    EVP_DecryptUpdate(c, NULL, &m, (const unsigned char *)"head", 4);
    EVP_DecryptUpdate(c, back, &m, out, n);
    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, 16, tag);
    printf("a changed tag is %s\n", EVP_DecryptFinal_ex(c, back + m, &n) > 0 ? "taken" : "refused");
    EVP_CIPHER_CTX_free(c);
    if (PKCS5_PBKDF2_HMAC("password", 8, (const unsigned char *)"salt", 4, 1000, EVP_sha256(), 32, out))
        hex("PBKDF2", out, 32);
}

static void sign(const char *what, EVP_PKEY *key)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    unsigned char sig[512];
    size_t n = sizeof(sig);
    const EVP_MD *md = EVP_PKEY_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
    int ok = key && EVP_DigestSignInit(c, NULL, md, NULL, key) > 0 &&
             EVP_DigestSign(c, sig, &n, (const unsigned char *)"said", 4) > 0;

    EVP_MD_CTX_reset(c);
    ok = ok && EVP_DigestVerifyInit(c, NULL, md, NULL, key) > 0 &&
         EVP_DigestVerify(c, sig, n, (const unsigned char *)"said", 4) > 0;
    EVP_MD_CTX_reset(c);
    printf("%-16s %s, ", what, ok ? "verifies" : "does not verify");
    ok = EVP_DigestVerifyInit(c, NULL, md, NULL, key) > 0 &&
         EVP_DigestVerify(c, sig, n, (const unsigned char *)"sald", 4) > 0;
    printf("another text %s\n", ok ? "too" : "does not");
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
}

static X509 *certify(EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);

    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"stub", -1, -1, 0);
    X509_set_issuer_name(x, name);
    X509_set_pubkey(x, key);
    X509_sign(x, key, EVP_sha256());
    return x;
}

static void handshake(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    SSL_CTX *sc = SSL_CTX_new(TLS_server_method()), *cc = SSL_CTX_new(TLS_client_method());
    SSL *s = SSL_new(sc), *c = SSL_new(cc);
    BIO *a, *b;
    X509 *x = certify(key);
    char got[32] = "";
    int done = 0, n = 0;

    SSL_use_certificate(s, x);
    SSL_use_PrivateKey(s, key);
    BIO_new_bio_pair(&a, 0, &b, 0);
    SSL_set_bio(s, a, a);
    SSL_set_bio(c, b, b);
    SSL_set_accept_state(s);
    SSL_set_connect_state(c);
    for (int i = 0; i < 20 && done < 2; i++)
        done = (SSL_do_handshake(c) == 1) + (SSL_do_handshake(s) == 1);
    if (done == 2 && SSL_write(c, "over TLS", 8) == 8)
        n = SSL_read(s, got, sizeof(got) - 1);
    printf("handshake %s %s %s \"%.*s\"\n", done == 2 ? "done" : "failed", SSL_get_version(c), SSL_get_cipher(c),
           n > 0 ? n : 0, got);
    SSL_free(s);
    SSL_free(c);
    SSL_CTX_free(sc);
    SSL_CTX_free(cc);
    X509_free(x);
    EVP_PKEY_free(key);
}

int main(void)
{
    unsigned char r[16];

    setvbuf(stdout, NULL, _IOLBF, 0);
    digests();
    ciphers();
    gcm();
    if (RAND_bytes(r, sizeof(r)) != 1) {
        printf("no entropy: keys and TLS are refused: %s\n", ERR_reason_error_string(ERR_peek_error()));
        return 0;
    }
    sign("RSA 2048", EVP_RSA_gen(2048));
    sign("ECDSA P-256", EVP_EC_gen("P-256"));
    sign("Ed25519", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    handshake();
    return 0;
}
