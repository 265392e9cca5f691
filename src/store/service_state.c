/* A store that outlives its process: its state for a successor, and the journal for one that comes after a crash.
 *
 * A journal file is a head of 32 bytes (magic, generation, epoch), a state, and batches of changes. The head is written
 * last, so a file is whole or none; the one of the higher generation counts. Nothing is synced: what a store knows is
 * worth nothing once the machine is gone. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/shared.h"
#include "store/service.h"

#define MAGIC "XKJRNL1\n"
enum { HEAD = 32, PENDING_MAX = 64 << 20, STATE_MIN = 4 << 20 };
enum { FILE_MAX = 1 << 30 };

/* --- into a file --- */

struct sink {
    struct xk_file *file;
    uint64_t at;
};

static int put(void *arg, const void *bytes, size_t n)
{
    struct sink *k = arg;
    int r = xk_file_write(k->file, bytes, n, k->at);

    k->at += n;
    return r < 0 ? r : 0;
}

struct xk_store_link xk__transport_link(const struct xk__transport *t)
{
    struct xk_store_link link = {
        .kind = t->ring ? XK_STORE_LINK_RING : XK_STORE_LINK_SOCKET,
        .domid = t->domid,
        .privileged = t->domid == 0 || t->service->trust,
        .port = t->remote,
        .fd = t->fd,
    };

    if (!t->ring && xk_buf_len(&t->left)) {
        link.unread = xk_buf_head(&t->left);
        link.unread_bytes = xk_buf_len(&t->left);
    }
    return link;
}

static int link_all(void *arg, struct xk_store_conn *c, struct xk_store_link *link)
{
    const struct xk__transport *t = xk_store_conn_cookie(c);

    (void)arg;
    *link = xk__transport_link(t);
    return t->ring && t->ignored ? XK_ENOENT : 0;
}

static int link_rings(void *arg, struct xk_store_conn *c, struct xk_store_link *link)
{
    const struct xk__transport *t = xk_store_conn_cookie(c);

    return t->ring ? link_all(arg, c, link) : XK_ENOENT;
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* --- handing over --- */

static int put_trailer(struct xk_store_service *s, struct sink *k)
{
    uint8_t number[4], trailer[16] = {0};
    uint32_t count = 0;
    int r = 0;

    XK_LIST_EACH(l, &s->transports)
    {
        const struct xk__transport *t = XK_CONTAINER(l, struct xk__transport, link);
        if (t->ring || r < 0)
            continue;
        put32(number, (uint32_t)t->fd);
        r = put(k, number, sizeof(number));
        count++;
    }
    put32(trailer, count);
    memcpy(trailer + 8, XK_STORE_TRAILER, 8);
    return r < 0 ? r : put(k, trailer, sizeof(trailer));
}

/* Everybody's last bytes stand in their ring by now, or in the engine; nothing moves from here on. */
static void freeze(struct xk_store_service *s)
{
    s->frozen = 1;
    xk_acceptor_stop(s->loop, &s->acceptor);
    xk_port_watch_stop(s->loop, &s->virq_watch);
    xk_timer_stop(s->loop, &s->later);
    xk__keeper_flush(s);
    XK_LIST_EACH(l, &s->transports)
    {
        struct xk__transport *t = XK_CONTAINER(l, struct xk__transport, link);
        xk_defer_stop(s->loop, &t->flush);
        if (!t->ring) {
            xk_waiter_cancel(&t->reader);
            xk_waiter_cancel(&t->writer);
            xk__socket_settle(t);
        } else {
            xk_pipe_publish(&t->in);
            xk__ring_stop(t);
        }
    }
}

int xk_store_service_save(struct xk_store_service *s, struct xk_file *file)
{
    struct sink k = {.file = file};
    struct xk_store_saver saver = {.write = put, .link = link_all, .arg = &k, .listener = s->listener, .events = -1};
    int r;

    freeze(s);
    r = xk_store_server_save(s->server, &saver);
    return r < 0 ? r : put_trailer(s, &k);
}

/* --- taking over --- */

struct taker {
    struct xk_store_service *s;
    const int *fds;
    size_t count;
};

static struct xk_store_conn *take_ring(struct xk_store_service *s, const struct xk_store_link *link)
{
    struct xk__transport *t = xk__transport_new(s, 1, (xk_domid)link->domid);
    int r = t ? xk__ring_connect(t, link->port) : XK_ENOMEM;

    if (r == 0)
        return t->conn;
    xk__service_say(s, "domain %u: its ring cannot be had again: %s", link->domid, xk_err_text(r));
    if (t)
        xk__transport_close(t);
    return NULL;
}

static struct xk_store_conn *take_socket(struct taker *k, const struct xk_store_link *link)
{
    struct xk__transport *t = NULL;

    for (size_t i = 0; i < k->count && !t; i++)
        if (k->fds[2 * i] == link->fd)
            t = xk__socket_new(k->s, k->fds[2 * i + 1]);
    if (!t)
        return NULL;
    if (link->unread_bytes && xk_buf_put(&t->left, link->unread, link->unread_bytes) < 0) {
        xk__transport_close(t);
        return NULL;
    }
    return t->conn;
}

static struct xk_store_conn *take(void *arg, const struct xk_store_link *link)
{
    struct taker *k = arg;

    return link->kind == XK_STORE_LINK_RING ? take_ring(k->s, link) : take_socket(k, link);
}

static void take_back(void *arg, struct xk_store_conn *c)
{
    (void)arg;
    xk__transport_close(xk_store_conn_cookie(c));
}

/* Asks after each domain that the store knows: also one that was never introduced may own nodes, which its successor
 * must not inherit. One that is dying is gone for us: on Xen it cannot be freed before we let go of its page. */
void xk__service_bury(struct xk_store_service *s)
{
    for (int domid = xk_store_domain_next(s->server, 0); domid > 0; domid = xk_store_domain_next(s->server, domid)) {
        struct xk_domain_info info;
        int r = xk_domain_info(s->platform, (xk_domid)domid, &info);
        if (r == XK_ENOENT || r == XK_EGONE || (r == 0 && info.state == XK_DOMAIN_DYING))
            (void)!xk_store_domain_died(s->server, (unsigned)domid);
        else if (r == 0 && info.state == XK_DOMAIN_SHUTDOWN)
            (void)!xk_store_domain_shutdown(s->server, (unsigned)domid);
    }
}

/* Nobody is answered before the loop runs: by then a journal has the state, too. */
static void serve_all(struct xk_store_service *s)
{
    xk__service_bury(s);
    XK_LIST_EACH(l, &s->transports)
    {
        struct xk__transport *t = XK_CONTAINER(l, struct xk__transport, link);
        if (!t->ring || xk__ring_start(t) == 0)
            xk__transport_soon(t);
    }
}

int xk_store_service_load(struct xk_store_service *s, const void *bytes, size_t n, const int *fds, size_t count,
                          struct xk_diag *diag)
{
    struct taker k = {s, fds, count};
    struct xk_store_loader loader = {.conn = take, .closed = take_back, .arg = &k};
    int r = xk_store_server_load(s->server, bytes, n, &loader, diag);

    s->loaded = 1;
    if (r == 0)
        serve_all(s);
    return r;
}

/* --- the journal --- */

/* What a connection has in its buffers belongs to the indices of its ring, which a state does not know. */
static int note_rings(struct xk_store_service *s)
{
    const uint8_t *p;
    int r = 0;

    XK_LIST_EACH(l, &s->transports)
    {
        struct xk__transport *t = XK_CONTAINER(l, struct xk__transport, link);
        if (!t->ring || t->ignored)
            continue;
        xk_store_journal_known(t->conn);
        if (r == 0 && (xk_store_conn_output(t->conn, &p) || xk_store_conn_halfway(t->conn)))
            r = xk_store_journal_ring(t->conn, t->in.mine, t->out.mine);
    }
    return r;
}

static int write_pending(struct xk_store_service *s, struct sink *k)
{
    const uint8_t *p;
    size_t n = xk_store_journal_pending(s->server, &p);
    int r = n ? xk_file_write(k->file, p, n, k->at) : 0;

    if (n == 0 || r < 0)
        return r;
    k->at += n;
    xk_store_journal_written(s->server, n);
    return 0;
}

/* A state goes into the other file, and from then on that is the journal. The notes of the rings belong to the state:
 * without them, half a request that it has would not be known to be consumed. */
static int begin_file(struct xk_store_service *s)
{
    struct xk__keeper *k = &s->keeper;
    struct sink sink = {.file = k->file[!k->at], .at = HEAD};
    struct xk_store_saver saver = {.write = put,
                                   .link = link_rings,
                                   .arg = &sink,
                                   .flags = XK_STORE_SAVE_NO_TRANSACTIONS,
                                   .listener = -1,
                                   .events = -1};
    uint8_t head[HEAD] = {0};
    uint64_t state = 0;
    int r = xk_file_truncate(sink.file, 0);

    if (r >= 0)
        r = xk_store_server_save(s->server, &saver);
    state = sink.at;
    if (r == 0)
        r = note_rings(s);
    if (r == 0)
        r = write_pending(s, &sink);
    if (r < 0)
        return r;
    k->generation++;
    memcpy(head, MAGIC, 8);
    put32(head + 8, (uint32_t)k->generation);
    put32(head + 12, (uint32_t)(k->generation >> 32));
    put32(head + 16, k->epoch);
    r = xk_file_write(sink.file, head, HEAD, 0);
    if (r < 0)
        return r;
    k->at = !k->at;
    k->end = sink.at;
    k->state_bytes = state;
    xk_file_truncate(k->file[!k->at], 0);
    return 0;
}

static void give_up(struct xk_store_service *s, int err)
{
    xk__service_say(s, "the journal cannot be written (%s): a crash would now lose what is in the store",
                    xk_err_text(err));
    s->keeper.on = 0;
    xk_store_journal_stop(s->server);
}

void xk__keeper_flush(struct xk_store_service *s)
{
    struct xk__keeper *k = &s->keeper;
    struct sink sink = {.file = k->file[k->at], .at = k->end};
    const uint8_t *p;
    int r;

    if (!k->on)
        return;
    r = write_pending(s, &sink);
    k->end = sink.at;
    if (r < 0) { /* most often there is no room, and a state is shorter than what led to it, which it has in it */
        xk_store_journal_written(s->server, xk_store_journal_pending(s->server, &p));
        r = begin_file(s);
    } else if (k->end - k->state_bytes > STATE_MIN && k->end > 3 * k->state_bytes) {
        r = begin_file(s);
    }
    if (r < 0)
        give_up(s, r);
}

void xk__keeper_fini(struct xk_store_service *s)
{
    xk_file_close(s->keeper.file[0]);
    xk_file_close(s->keeper.file[1]);
}

/* The generation of a file, 0 when it holds no whole state. */
static uint64_t generation_of(struct xk_file *f, uint32_t *epoch)
{
    uint8_t head[HEAD];

    if (xk_file_read(f, head, HEAD, 0) != HEAD || memcmp(head, MAGIC, 8))
        return 0;
    *epoch = get32(head + 16);
    return get32(head + 8) | (uint64_t)get32(head + 12) << 32;
}

static int replay(struct xk_store_service *s, const uint8_t *bytes, size_t n, struct xk_diag *diag)
{
    struct taker k = {.s = s};
    struct xk_store_loader loader = {.conn = take, .closed = take_back, .arg = &k};
    size_t used;
    int r = xk_store_server_load(s->server, bytes, n, &loader, diag);

    if (r == 0)
        r = xk_store_server_replay(s->server, bytes + loader.used, n - loader.used, &loader, &used, diag);
    if (r == 0 && loader.used + used < n)
        xk__service_say(s, "the last %zu bytes of the journal are half a change, which nobody was told of",
                        n - loader.used - used);
    return r;
}

/* Every client goes on where the indices of its ring say that it is. */
static void recover(struct xk_store_service *s)
{
    XK_LIST_EACH(l, &s->transports)
    {
        struct xk__transport *t = XK_CONTAINER(l, struct xk__transport, link);
        uint32_t consumed = xk_store_conn_recover(t->conn, s->keeper.epoch, t->in.mine, t->out.mine);
        xk_pipe_skip(&t->in, consumed - t->in.mine);
    }
}

static int recover_from(struct xk_store_service *s, struct xk_file *f, struct xk_diag *diag)
{
    int64_t size = xk_file_size(f);
    uint8_t *bytes = size > HEAD && size <= FILE_MAX ? xk_new(&s->alloc, (size_t)size) : NULL;
    int r;

    if (!bytes)
        return size > FILE_MAX ? xk_diag_set(diag, XK_EMSGSIZE, 0, 0, "the journal has more than 1 GiB")
                               : xk_diag_set(diag, XK_ENOMEM, 0, 0, "no memory to read the journal");
    r = xk_file_read(f, bytes, (size_t)size, 0);
    r = r != size ? xk_diag_set(diag, XK_EIO, 0, 0, "the journal cannot be read")
                  : replay(s, bytes + HEAD, (size_t)size - HEAD, diag);
    xk_free(&s->alloc, bytes, (size_t)size);
    return r;
}

int xk_store_service_journal(struct xk_store_service *s, struct xk_file *a, struct xk_file *b, struct xk_diag *diag)
{
    struct xk__keeper *k = &s->keeper;
    uint32_t epoch[2] = {0, 0};
    uint64_t generation[2] = {generation_of(a, &epoch[0]), generation_of(b, &epoch[1])};
    int r = 0, last = generation[1] > generation[0], old = generation[last] != 0 && !s->loaded;

    k->file[0] = a;
    k->file[1] = b;
    k->at = last;
    k->generation = generation[last];
    k->epoch = epoch[last] + 1;
    if (old)
        r = recover_from(s, k->file[last], diag);
    else if (!generation[last] && xk_file_size(a) > 0 && xk_file_size(b) > 0)
        r = xk_diag_set(diag, XK_EPROTO, 0, 0,
                        "these files are no journal of a store; remove them to begin with nothing");
    if (r < 0)
        return r;
    if (old)
        recover(s);
    xk_store_journal_start(s->server, PENDING_MAX);
    r = begin_file(s);
    if (r < 0)
        return xk_diag_set(diag, r, 0, 0, "the journal cannot be written");
    k->on = 1;
    if (old)
        serve_all(s);
    return old;
}

int xk_store_service_connected(struct xk_store_service *s, xk_domid domid) { return xk__ring_of(s, domid) != NULL; }
