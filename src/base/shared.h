/* base/shared.h - the only way to touch memory that a peer can write at any time.
 *
 * Four verbs: load once, store once, load-acquire, store-release; and a full fence. A value is loaded into a local,
 * checked there, and only the local is used. A test build may define XK_SHARED_HOOK to see every load (and let a liar
 * change the word between two of them). SPDX-License-Identifier: MIT */
#ifndef XK_BASE_SHARED_H
#define XK_BASE_SHARED_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef XK_SHARED_HOOK
void xk__shared_hook(const volatile void *p, size_t n);
#else
#define xk__shared_hook(p, n) ((void)0)
#endif

static inline uint32_t xk_shared_load32(const volatile uint32_t *p)
{
    xk__shared_hook(p, 4);
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint32_t xk_shared_load_acquire32(const volatile uint32_t *p)
{
    xk__shared_hook(p, 4);
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline uint16_t xk_shared_load16(const volatile uint16_t *p)
{
    xk__shared_hook(p, 2);
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint8_t xk_shared_load8(const volatile uint8_t *p)
{
    xk__shared_hook(p, 1);
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void xk_shared_store32(volatile uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline void xk_shared_store16(volatile uint16_t *p, uint16_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline void xk_shared_store8(volatile uint8_t *p, uint8_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }

static inline void xk_shared_store_release32(volatile uint32_t *p, uint32_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline uint8_t xk_shared_or8(volatile uint8_t *p, uint8_t v)
{
    return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST);
}
static inline uint8_t xk_shared_and8(volatile uint8_t *p, uint8_t v)
{
    return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST);
}

/* 64 bits at once, on the machines that have it: for indices that never wrap. xk_shared_le64 (v) - (v) as it lies in
 * memory that is little endian, and back. */
static inline uint64_t xk_shared_load_acquire64(const volatile uint64_t *p)
{
    xk__shared_hook(p, 8);
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void xk_shared_store_release64(volatile uint64_t *p, uint64_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline uint64_t xk_shared_le64(uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(v);
#else
    return v;
#endif
}

/* Stores before it are seen by all before loads after it are made: the one order that x86 does not keep by itself. */
static inline void xk_shared_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/* Stores before it are made before stores after it: for who may be killed in between. */
static inline void xk_shared_order(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }

/* Copies out of and into shared memory. The peer may write meanwhile: the copy may be torn, and is only parsed after.
 */
static inline void xk_shared_copy_out(void *dst, const volatile void *src, size_t n)
{
    xk__shared_hook(src, n);
    memcpy(dst, (const void *)(uintptr_t)src, n);
}

static inline void xk_shared_copy_in(volatile void *dst, const void *src, size_t n)
{
    memcpy((void *)(uintptr_t)dst, src, n);
}

#endif
