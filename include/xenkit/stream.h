/* xenkit/stream.h - what a byte stream is, whoever carries it: a kernel socket, a vchan, a console, a test's memory.
 *
 * A stream is an ops table and whatever stands behind it. Reading and writing never block; a caller that got XK_EAGAIN
 * arms a waiter and is called once when trying again makes sense (spurious calls are legal). Deadlines belong to the
 * waiter's owner: xk_loop gives timers.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_STREAM_H
#define XENKIT_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/err.h>

XK_API_BEGIN

/* A one-shot call-back, placed by its owner, who may take it back with xk_waiter_cancel. (fn) may read, write, arm
 * again and close the stream. */
struct xk_waiter {
    struct xk_waiter *next, **link; /* private; link is NULL when not armed */
    void (*fn)(struct xk_waiter *w);
};

static inline void xk_waiter_cancel(struct xk_waiter *w)
{
    if (!w->link)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    w->link = NULL;
    w->next = NULL;
}

static inline void xk_waiter_arm(struct xk_waiter **head, struct xk_waiter *w)
{
    xk_waiter_cancel(w);
    w->next = *head;
    w->link = head;
    if (*head)
        (*head)->link = &w->next;
    *head = w;
}

/* Calls all that are armed at (head) now; those armed meanwhile wait for the next time. */
static inline void xk_waiter_wake(struct xk_waiter **head)
{
    struct xk_waiter *batch = *head;

    *head = NULL;
    if (batch)
        batch->link = &batch;
    while (batch) {
        struct xk_waiter *w = batch;
        xk_waiter_cancel(w);
        w->fn(w);
    }
}

struct xk_stream {
    const struct xk_stream_ops *ops;
};

enum { XK_STREAM_VERSION = 1 };
struct xk_stream_ops {
    uint32_t version;
    /* (n) >= 1. Returns how many bytes, 0 at the end of the stream, XK_EAGAIN, or the reason it ended otherwise. */
    int (*read)(struct xk_stream *s, void *buf, size_t n);
    /* Returns how many bytes were taken, 1 .. n, XK_EAGAIN, XK_EPIPE when the other side reads no more. */
    int (*write)(struct xk_stream *s, const void *buf, size_t n);
    /* (events) is XK_READABLE or XK_WRITABLE, one of them. */
    void (*arm)(struct xk_stream *s, unsigned events, struct xk_waiter *w);
    /* No more writing: the other side reads the end after what was written. */
    int (*shutdown)(struct xk_stream *s);
    /* Cancels all waiters without calling them, and frees (s). */
    void (*close)(struct xk_stream *s);
};

static inline int xk_stream_read(struct xk_stream *s, void *buf, size_t n) { return s->ops->read(s, buf, n); }
static inline int xk_stream_write(struct xk_stream *s, const void *buf, size_t n) { return s->ops->write(s, buf, n); }
static inline void xk_stream_arm(struct xk_stream *s, unsigned events, struct xk_waiter *w)
{
    s->ops->arm(s, events, w);
}
static inline int xk_stream_shutdown(struct xk_stream *s) { return s->ops->shutdown(s); }
static inline void xk_stream_close(struct xk_stream *s)
{
    if (s)
        s->ops->close(s);
}

XK_API_END

#endif
