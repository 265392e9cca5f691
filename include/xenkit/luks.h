/* xenkit/luks.h - encrypted disks with a header that keeps their key for up to eight passphrases: LUKS1, as the "LUKS
 * On-Disk Format Specification" 1.2.3 has it and cryptsetup and QEMU make it. Of its ciphers AES-XTS is known
 * (xenkit/xts.h), with SHA-1, SHA-256 or SHA-512. LUKS2 is recognised and refused.
 *
 * A passphrase is any bytes; a line end at the end of a key file is one of them, as with cryptsetup's key files.
 * Functions that may refuse a header fill a diagnosis, which may be NULL. What is secret is overwritten before its
 * memory is given back. Who uses this header links libcrypto.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_LUKS_H
#define XENKIT_LUKS_H

#include <xenkit/blkdev.h>
#include <xenkit/file.h>

XK_API_BEGIN

enum {
    XK_LUKS_SLOTS = 8,
    XK_LUKS_STRIPES = 4000,
    XK_LUKS_PASSPHRASE_MAX = 1 << 20,     /* bytes */
    XK_LUKS_ITERATIONS_MAX = 1 << 26,     /* more are refused: a minute or so for each part of a key */
    XK_LUKS_HEADER_MAX = 4096 * XK_SECTOR /* as xk_luks_create lays it out: where the data begin */
};

struct xk_luks_info {
    char cipher[33], mode[33], hash[33]; /* "aes", "xts-plain64", "sha256" */
    char uuid[41];
    uint64_t first;      /* sector where the data begin */
    uint32_t key_bytes;  /* 32 or 64: two keys of AES-128 or AES-256 */
    uint32_t iterations; /* of the digest that says whether a key is right */
    struct {
        int active;
        uint32_t iterations;
        uint64_t first; /* sector where its part of the header is */
    } slot[XK_LUKS_SLOTS];
};

/* xk_luks_read_info (file, out, d) - what stands in the header. XK_EPROTO: it is none, or is damaged: a number leads
 * out of the file, into the header or into another slot; XK_ENOSYS: LUKS2, or a cipher or hash that is not known;
 * XK_ERANGE: more iterations than XK_LUKS_ITERATIONS_MAX. */
XK_MUSTCHECK int xk_luks_read_info(struct xk_file *file, struct xk_luks_info *out, struct xk_diag *d);

/* --- opening ------------------------------------------------------------------------------------------------------ */

struct xk_luks;

/* xk_luks_open (alloc, file, pass, n, d, out) - reads the header and begins to look for the slot that the passphrase
 * opens. (file) stays the caller's, and is read by xk_luks_step alone from then on. Errors as above; XK_EINVAL: an
 * empty or too long passphrase. */
XK_MUSTCHECK int xk_luks_open(const xk_alloc *alloc, struct xk_file *file, const void *pass, size_t n,
                              struct xk_diag *d, struct xk_luks **out);

/* xk_luks_step (l, iterations) - does about so many iterations of PBKDF2, some 300000 to 1000000 of which take a
 * second. 1: there is more to do; 0: it is open; XK_EACCES: no slot opens with that passphrase; what (file) says. */
XK_MUSTCHECK int xk_luks_step(struct xk_luks *l, uint32_t iterations);

int xk_luks_slot(const struct xk_luks *l); /* which one opened, 0 .. 7; XK_EAGAIN */
void xk_luks_close(struct xk_luks *l);     /* NULL is allowed; devices that were made with it stay */

/* xk_block_luks (alloc, l, below, discard, out) - what is in (below), whose header was opened. (below) belongs to the
 * device from now on, even when this fails; the rest as for xk_block_xts. XK_EAGAIN: not open yet. */
XK_MUSTCHECK int xk_block_luks(const xk_alloc *alloc, const struct xk_luks *l, struct xk_blkdev *below, int discard,
                               struct xk_blkdev **out);

/* --- making, passphrases ------------------------------------------------------------------------------------------ */

struct xk_luks_spec {
    const char *hash;           /* NULL: "sha256" */
    uint32_t key_bytes;         /* 0: 64 */
    uint32_t iterations;        /* of the first slot, 1000 .. XK_LUKS_ITERATIONS_MAX */
    uint32_t digest_iterations; /* of the digest, likewise */
};

/* xk_luks_create (file, spec, pass, n, first) - a new header at the beginning of the file, with one passphrase in slot
 * 0; *first becomes the sector where the data begin. The header takes XK_LUKS_HEADER_MAX bytes at most. What stood
 * there is overwritten; what stands behind it reads as anything. XK_EINVAL; XK_EAGAIN: there is no entropy yet; what
 * (file) says. Waits for its iterations and for the file, as the following do. */
XK_MUSTCHECK int xk_luks_create(struct xk_file *file, const struct xk_luks_spec *spec, const void *pass, size_t n,
                                uint64_t *first);

/* xk_luks_add (l, file, pass, n, iterations) - one passphrase more for the header in (file), which was opened as (l).
 * Returns the slot. XK_ENOSPC: all are in use; XK_EPROTO: (file) has another header than when it was opened. */
XK_MUSTCHECK int xk_luks_add(const struct xk_luks *l, struct xk_file *file, const void *pass, size_t n,
                             uint32_t iterations);

/* xk_luks_remove (file, slot, d) - makes a slot useless: its part of the header is overwritten, then it is marked as
 * free. Where a file system or a disk puts what is written in another place, what was there may be found still.
 * XK_ENOENT: it is free; XK_EBUSY: it is the last one in use, without which nothing opens. */
XK_MUSTCHECK int xk_luks_remove(struct xk_file *file, unsigned slot, struct xk_diag *d);

/* xk_luks_try (hash, key_bytes, iterations) - the work of so many iterations and nothing else, for who measures how
 * many take a second. */
XK_MUSTCHECK int xk_luks_try(const char *hash, uint32_t key_bytes, uint32_t iterations);

XK_API_END

#endif
