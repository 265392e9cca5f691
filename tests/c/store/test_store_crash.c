/* A store that is killed at any moment, and what its guests see of that: nothing but a pause. The moments are each
 * write to a file, each index that is shown in a ring, and each notification. The process ends there without a word -
 * its ports are closed and its pages unmapped by the system, as after SIGKILL - and another one goes on with the same
 * pages and files. The guests go on too: every request is answered, one that changes something once, in order, with the
 * right value. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdbool.h>

#include "tests/c/store/mortal.h"
#include "tests/c/tap.h"

/* --- moments ------------------------------------------------------------------------------------------------------ */

static jmp_buf death;
static bool inside;        /* the store's code runs */
static long moments, fuse; /* (fuse) moments from now it dies; 0: it does not */

static void (*on_moment)(void);

static void moment(void)
{
    if (!inside)
        return;
    moments++;
    if (on_moment)
        on_moment();
    if (fuse > 0 && --fuse == 0) {
        inside = false;
        longjmp(death, 1);
    }
}

/* The ring's code is compiled in here once more, so that the moments are seen. */
#include "base/shared.h"
#define xk_shared_store_release32(p, v) (moment(), (xk_shared_store_release32)(p, v))
#define xk_evtchn_notify(p, port) (moment(), (xk_evtchn_notify)(p, port))
#include "ring/pipe.c"
#include "store/service_ring.c"
#undef xk_shared_store_release32
#undef xk_evtchn_notify

/* --- files that outlive the process ------------------------------------------------------------------------------- */

struct mortal {
    struct xk_file base;
    struct xk_file *real;
};

static long no_room; /* so many writes from now one fails; 0: none */
static uint64_t dice = 1;

static unsigned roll(unsigned n)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)((dice >> 20) % n);
}

static int mortal_read(struct xk_file *f, void *buf, size_t n, uint64_t at)
{
    return xk_file_read(((struct mortal *)f)->real, buf, n, at);
}

/* The system may have taken only a part of it, but for the 32 bytes of a head. */
static int mortal_write(struct xk_file *f, const void *buf, size_t n, uint64_t at)
{
    struct mortal *m = (struct mortal *)f;

    if (inside && fuse == 1 && n > 32)
        OK(xk_file_write(m->real, buf, roll((unsigned)n), at) >= 0);
    moment();
    if (no_room > 0 && --no_room == 0)
        return XK_ENOSPC;
    return xk_file_write(m->real, buf, n, at);
}

static int mortal_sync(struct xk_file *f) { return xk_file_sync(((struct mortal *)f)->real); }
static int64_t mortal_size(struct xk_file *f) { return xk_file_size(((struct mortal *)f)->real); }

static int mortal_truncate(struct xk_file *f, uint64_t size)
{
    moment();
    return xk_file_truncate(((struct mortal *)f)->real, size);
}

static void mortal_close(struct xk_file *f) { (void)f; }

static const struct xk_file_ops mortal_ops = {
    .version = XK_FILE_VERSION,
    .read = mortal_read,
    .write = mortal_write,
    .sync = mortal_sync,
    .size = mortal_size,
    .truncate = mortal_truncate,
    .close = mortal_close,
};

static struct mortal files[2];

/* --- the store's lives -------------------------------------------------------------------------------------------- */

static struct ring_world world;
static long lives;

static void start(void)
{
    struct xk_diag diag = {0};
    int r;

    lives++;
    ring_service(&world, &mortal_alloc);
    r = xk_store_service_journal(world.service, &files[0].base, &files[1].base, &diag);
    if (r < 0)
        TAP_FAIL("life %ld: %s", lives, diag.text);
    EQ(r, lives > 1);
}

static void (*on_death)(void);
static bool update_soon;
static struct xk_file *handed_over;

/* Hands over to another process. */
static void update(void)
{
    static uint8_t state[1 << 20];
    struct xk_diag diag = {0};
    int n;

    EQ(xk_file_truncate(handed_over, 0), 0);
    EQ(xk_store_service_save(world.service, handed_over), 0);
    n = xk_file_read(handed_over, state, sizeof(state), 0);
    mortal_end(&world);
    lives++;
    ring_service(&world, &mortal_alloc);
    if (xk_store_service_load(world.service, state, (size_t)n, NULL, 0, &diag) < 0)
        TAP_FAIL("%s", diag.text);
    EQ(xk_store_service_journal(world.service, &files[0].base, &files[1].base, &diag), 0);
}

/* Runs the store for a round, and when it dies over that, the next one until it serves. */
static void round_of_store(void)
{
    while (setjmp(death)) {
        mortal_end(&world);
        if (on_death)
            on_death();
        inside = true;
        start();
    }
    inside = true;
    if (update_soon) {
        update_soon = false;
        update();
    }
    ring_round(&world);
    inside = false;
}

static void world_open(uint64_t seed)
{
    dice = seed * 0x9e3779b97f4a7c15u | 1;
    lives = 0;
    inside = false;
    fuse = no_room = 0;
    on_death = on_moment = NULL;
    for (int i = 0; i < 2; i++) {
        files[i].base.ops = &mortal_ops;
        EQ(xk_file_memory(NULL, 1 << 26, &files[i].real), 0);
    }
    EQ(xk_file_memory(NULL, 1 << 20, &handed_over), 0);
    ring_world(&world, seed);
    start();
    ring_introduce_all(&world);
}

static void world_close(void)
{
    char report[256];

    OK(ring_text(&world, 0, XK_STORE_CONTROL, "check") == 0);
    STREQ(world.guest[0].reply, "OK");
    mortal_end(&world);
    xk_fake_destroy(world.fake, report, sizeof(report));
    for (int i = 0; i < 2; i++)
        xk_file_close(files[i].real);
    xk_file_close(handed_over);
}

/* --- a guest ------------------------------------------------------------------------------------------------------ */

enum { REQUESTS = 40, OUTSTANDING = 6, BIG = 1800 };

struct asked {
    uint32_t type;
    bool once; /* it changed something: a second answer would be one too many */
    int answers, err;
    char want[BIG + 1];
};

struct actor {
    struct ring_guest *g;
    struct asked asked[REQUESTS + 8];
    uint32_t count, answered; /* requests made; the first so many were answered */
    uint8_t out[2 * XK_STORE_PACKET_MAX];
    size_t out_at, out_bytes;
    bool waits; /* for the answer to its last request */
    uint32_t tx;
    bool tx_disturbed; /* the store died since it was begun */
    int phase;
    char a[32], t[32], big[BIG + 1];
    unsigned kept; /* events of its lasting watch since the store died last */
};

static struct actor actors[RING_DOMAINS];
static bool died;

static struct asked *ask(struct actor *x, uint32_t type, uint32_t tx, const char *p, size_t n)
{
    struct asked *q = &x->asked[x->count++];

    *q = (struct asked){.type = type};
    OK(x->out_bytes + n + XK_STORE_HEADER_SIZE <= sizeof(x->out));
    x->out_bytes += ring_request(x->out + x->out_bytes, type, 1000 + x->count, tx, p, n);
    return q;
}

static struct asked *ask_path(struct actor *x, uint32_t type, uint32_t tx, const char *path, const char *more)
{
    char text[BIG + 200];
    size_t n = strlen(path) + 1, m = more ? strlen(more) + (type != XK_STORE_WRITE) : 0;

    memcpy(text, path, n);
    if (more)
        memcpy(text + n, more, m);
    return ask(x, type, tx, text, n + m);
}

static void want(struct asked *q, bool once, int err, const char *text)
{
    q->once = once;
    q->err = err;
    snprintf(q->want, sizeof(q->want), "%s", text);
}

/* The next request of a row that tells twice from once: a second WATCH would be EEXIST, a second UNWATCH ENOENT. */
static void ask_next(struct actor *x)
{
    char token[16];

    snprintf(token, sizeof(token), "t%d", x->phase / 14);
    switch (x->phase++ % 14) {
    case 0:
        snprintf(x->a, sizeof(x->a), "v%u", x->count);
        want(ask_path(x, XK_STORE_WRITE, 0, "a", x->a), true, 0, "OK");
        break;
    case 1:
        want(ask_path(x, XK_STORE_READ, 0, "a", NULL), false, 0, x->a);
        break;
    case 2:
        want(ask_path(x, XK_STORE_WATCH, 0, "w", token), true, 0, "OK");
        break;
    case 3:
        memset(x->big, 'A' + x->phase % 26, sizeof(x->big) - 1);
        x->big[200 + roll(BIG - 200)] = '\0';
        want(ask_path(x, XK_STORE_WRITE, 0, "w/x", x->big), true, 0, "OK");
        break;
    case 4:
        want(ask_path(x, XK_STORE_READ, 0, "w/x", NULL), false, 0, x->big);
        break;
    case 5:
        want(ask_path(x, XK_STORE_UNWATCH, 0, "w", token), true, 0, "OK");
        break;
    case 6:
        want(ask_path(x, XK_STORE_MKDIR, 0, "d/e", NULL), true, 0, "OK");
        break;
    case 7:
        want(ask_path(x, XK_STORE_RM, 0, "d", NULL), true, 0, "OK");
        break;
    case 8:
        want(ask_path(x, XK_STORE_RM, 0, "d/e", NULL), false, XK_ENOENT, "ENOENT");
        break;
    case 9:
        want(ask(x, XK_STORE_TRANSACTION_START, 0, "", 1), true, 0, "");
        x->tx_disturbed = false;
        x->waits = true;
        break;
    case 10:
        snprintf(x->t, sizeof(x->t), "v%u", x->count);
        want(ask_path(x, XK_STORE_WRITE, x->tx, "t", x->t), false, 0, "OK");
        break;
    case 11:
        want(ask(x, XK_STORE_TRANSACTION_END, x->tx, "T", 2), true, 0, "");
        x->waits = true;
        break;
    case 12:
        want(ask_path(x, XK_STORE_READ, 0, "t", NULL), false, x->t[0] ? 0 : XK_ENOENT, x->t[0] ? x->t : "ENOENT");
        break;
    default:
        want(ask_path(x, XK_STORE_RM, 0, "t", NULL), x->t[0] != 0, 0, "OK");
        x->t[0] = '\0';
    }
}

static void check_answer(struct actor *x, struct asked *q, const struct xk_store_header *h, const char *text)
{
    if (q->type == XK_STORE_TRANSACTION_START && h->type == q->type) {
        x->tx = (uint32_t)strtoul(text, NULL, 10);
    } else if (q->type == XK_STORE_TRANSACTION_END && h->type == XK_STORE_ERROR && x->tx_disturbed) {
        STREQ(text, "EAGAIN");
        q->once = false;
        x->t[0] = '\0';
    } else {
        if (h->type != (q->err ? XK_STORE_ERROR : q->type) || (q->want[0] && strcmp(text, q->want)))
            TAP_FAIL("request %u, %s: answered with %s \"%.40s\", wanted \"%.40s\"", h->req_id,
                     xk_store_op_name(q->type), xk_store_op_name(h->type), text, q->want);
    }
}

static void take_packet(struct actor *x, const struct xk_store_header *h, const char *text)
{
    struct asked *q;
    uint32_t i = h->req_id - 1001;

    if (h->type == XK_STORE_WATCH_EVENT) {
        x->kept += strcmp(text, "w") == 0 && strcmp(text + 2, "keep") == 0;
        return;
    }
    if (i >= x->count)
        TAP_FAIL("an answer to request %u, which nobody made", h->req_id);
    q = &x->asked[i];
    if (q->answers++) {
        if (q->once)
            TAP_FAIL("request %u, %s, was answered twice", h->req_id, xk_store_op_name(q->type));
        return;
    }
    EQ(i, x->answered);
    x->answered++;
    check_answer(x, q, h, text);
    if (x->answered == x->count)
        x->waits = false;
}

/* A little of everything: it asks, sends a piece, fetches a piece. */
static void act(struct actor *x)
{
    static char payload[XK_STORE_PAYLOAD_MAX + 1];
    struct xk_store_header h;
    size_t n;

    if (x->out_at == x->out_bytes)
        x->out_at = x->out_bytes = 0;
    while (!x->waits && x->count < REQUESTS && x->count - x->answered < OUTSTANDING && x->out_bytes < 3000)
        ask_next(x);
    n = x->out_bytes - x->out_at;
    if (n > 1 && roll(2))
        n = 1 + roll((unsigned)n);
    x->out_at += ring_send(x->g, x->out + x->out_at, n);
    if (roll(3))
        ring_receive(x->g, 1 + roll(1000));
    while (ring_packet(x->g, &h, payload))
        take_packet(x, &h, payload);
    xk_evtchn_notify(x->g->p, x->g->page.port);
}

static bool content(const struct actor *x)
{
    return x->count >= REQUESTS && x->answered == x->count && x->out_at == x->out_bytes;
}

static void store_has_died(void)
{
    died = true;
    no_room = 0;
    for (unsigned i = RING_FIRST; i < RING_DOMAINS; i++) {
        actors[i].tx_disturbed = true;
        actors[i].kept = 0;
    }
}

static void actors_open(void)
{
    for (unsigned i = RING_FIRST; i < RING_DOMAINS; i++) {
        memset(&actors[i], 0, sizeof(actors[i]));
        actors[i].g = &world.guest[i];
        OK(ring_text(&world, i, XK_STORE_WATCH, "w\0keep") == 0);
    }
    on_death = store_has_died;
    died = false;
}

static void actors_run(unsigned updates)
{
    int rounds;
    bool all = false;

    for (rounds = 0; !all && rounds < 20000; rounds++) {
        update_soon = updates && roll(1000) < updates;
        all = true;
        for (unsigned i = RING_FIRST; i < RING_DOMAINS; i++) {
            act(&actors[i]);
            all &= content(&actors[i]);
        }
        round_of_store();
        xk_fake_advance(world.fake, XK_MS);
    }
    for (unsigned i = RING_FIRST; i < RING_DOMAINS; i++)
        if (!content(&actors[i]))
            TAP_FAIL("domain %u: only %u of %u requests were answered", i, actors[i].answered, actors[i].count);
}

/* After a death each watch fires, and goes on firing. */
static void actors_watch(void)
{
    fuse = 0;
    for (unsigned i = RING_FIRST; i < RING_DOMAINS; i++) {
        char path[64];
        unsigned before;
        for (int n = 0; n < 20; n++) {
            act(&actors[i]);
            round_of_store();
        }
        if (died && !actors[i].kept)
            TAP_FAIL("domain %u: its watch did not fire after the store died", i);
        before = world.guest[i].events;
        snprintf(path, sizeof(path), "/local/domain/%u/w/last", i);
        OK(ring_write(&world, 0, path, "1") == 0);
        OK(ring_path(&world, i, XK_STORE_READ, "w/last") == 0);
        OK(world.guest[i].events > before);
        STREQ(world.guest[i].event, "w/last");
    }
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static long whole_run(uint64_t seed, long first)
{
    world_open(seed);
    actors_open();
    moments = 0;
    fuse = first;
    actors_run(0);
    actors_watch();
    world_close();
    return moments;
}

TEST(no_death)
{
    long n = whole_run(1, 0);

    printf("# %ld moments\n", n);
    OK(n > 200);
    EQ(lives, 1);
}

TEST(a_death_at_each_moment)
{
    long n = whole_run(1, 0);

    for (long k = 1; k <= n; k++) {
        whole_run(1, k);
        EQ(lives, 2);
    }
}

static unsigned often;

static void and_again(void)
{
    store_has_died();
    fuse = 1 + (long)roll(often);
}

static void many_deaths(uint64_t first, uint64_t last, unsigned updates)
{
    long ends = 0;

    for (uint64_t seed = first; seed < last; seed++) {
        world_open(seed);
        actors_open();
        on_death = and_again;
        often = 20 + (unsigned)(seed % 5) * 60;
        fuse = 1 + (long)roll(often);
        actors_run(updates);
        actors_watch();
        world_close();
        ends += lives - 1;
    }
    printf("# %ld processes ended\n", ends);
    OK(ends > 1000);
}

TEST(one_death_after_the_other) { many_deaths(2, 250, 0); }

TEST(deaths_and_live_updates) { many_deaths(300, 500, 60); }

TEST(live_updates_alone)
{
    long ends = 0;

    for (uint64_t seed = 1; seed < 20; seed++) {
        world_open(seed);
        actors_open();
        actors_run(100);
        actors_watch();
        world_close();
        OK(!died);
        ends += lives - 1;
    }
    OK(ends > 20);
}

/* --- a new file is begun ------------------------------------------------------------------------------------------ */

static int fill_step(int i)
{
    static char value[2001];

    memset(value, 'a' + i % 26, sizeof(value) - 1);
    return ring_write(&world, 0, i & 1 ? "/fill/odd" : "/fill/even", value);
}

/* How many steps it takes until the journal outgrows its file. */
static int steps_to_new_file(void)
{
    int64_t size = 0;
    int i = 0;

    world_open(1);
    for (;; i++) {
        int64_t now;
        OK(fill_step(i) == 0);
        now = xk_file_size(files[0].real) + xk_file_size(files[1].real);
        if (now < size)
            break;
        size = now;
        OK(i < 10000);
    }
    world_close();
    return i;
}

TEST(a_death_while_a_new_file_is_begun)
{
    int steps = steps_to_new_file();

    printf("# %d changes fill a file\n", steps);
    OK(steps > 1000);
    for (long k = 1; k < 60; k++) {
        world_open(1);
        for (int i = 0; i < steps; i++)
            OK(fill_step(i) == 0);
        actors_open();
        fuse = k;
        actors_run(0);
        actors_watch();
        world_close();
        EQ(lives, 2);
    }
}

TEST(a_full_disk_makes_a_new_file)
{
    long n = whole_run(1, 0);

    for (long k = 1; k < n; k += 3) {
        world_open(1);
        actors_open();
        no_room = 1 + k / 3;
        fuse = k + 12;
        actors_run(0);
        actors_watch();
        world_close();
        EQ(lives <= 2, 1);
    }
}

/* --- sequences that went wrong once ------------------------------------------------------------------------------- */

static void put_request(unsigned domid, uint32_t type, const char *p, size_t n)
{
    uint8_t packet[XK_STORE_PACKET_MAX];
    struct ring_guest *g = &world.guest[domid];
    size_t len = ring_request(packet, type, ++g->id, 0, p, n);

    EQ(ring_send(g, packet, len), len);
    xk_evtchn_notify(g->p, g->page.port);
}

/* The toolstack's request closes rings that stand behind its own in the list of those that are served anew. */
TEST(a_release_waits_in_the_ring)
{
    world_open(1);
    put_request(0, XK_STORE_RELEASE, "2", 2);
    put_request(0, XK_STORE_RELEASE, "3", 2);
    mortal_end(&world);
    start();
    OK(ring_path(&world, 4, XK_STORE_READ, "/local/domain/4") == 0);
    OK(!xk_store_service_connected(world.service, 2) && !xk_store_service_connected(world.service, 3));
    put_request(0, XK_STORE_RELEASE, "4", 2);
    xk__ring_later(&world.service->later); /* the same, from the timer */
    ring_round(&world);
    OK(!xk_store_service_connected(world.service, 4));
    OK(ring_text(&world, 0, XK_STORE_READ, "/tool") == 0);
    world_close();
}

TEST(a_trusted_guest_releases_itself)
{
    world_open(1);
    xk_store_service_trust(world.service, 1);
    OK(ring_introduce(&world, 2) == 0);
    put_request(2, XK_STORE_RELEASE, "2", 2);
    ring_round(&world);
    OK(!xk_store_service_connected(world.service, 2));
    OK(ring_introduce(&world, 2) == 0);
    OK(ring_path(&world, 3, XK_STORE_READ, "/local/domain/3") == 0);
    world_close();
}

/* Events that expired were in the last note: after a death the output must not be cut where they were. */
TEST(what_expired_is_not_noted_any_more)
{
    char big[1801];
    struct xk_store_header h;
    struct ring_guest *g = &world.guest[2];
    struct xk_store_stats stats;
    int replies = 0;

    for (int dies = 0; dies < 2; dies++) {
        world_open(1);
        memset(big, 'b', sizeof(big) - 1);
        big[sizeof(big) - 1] = '\0';
        OK(ring_write(&world, 2, "big", big) == 0);
        OK(ring_text(&world, 2, XK_STORE_WATCH, "w\0t") == 0);
        put_request(2, XK_STORE_READ, "big", 4);
        ring_round(&world);
        OK(ring_write(&world, 0, "/local/domain/2/w/a-path-that-is-some-bytes-long", "1") == 0);
        put_request(2, XK_STORE_READ, "big", 4);
        ring_round(&world);
        for (int i = 0; i < 12; i++) {
            xk_fake_advance(world.fake, 5 * XK_SECOND);
            ring_round(&world);
        }
        xk_store_server_stats(xk_store_service_server(world.service), &stats);
        EQ(stats.events_expired, 1);
        ring_receive(g, 1000);
        xk_evtchn_notify(g->p, g->page.port);
        ring_round(&world);
        ring_receive(g, 1000);
        xk_evtchn_notify(g->p, g->page.port);
        ring_round(&world);
        if (dies) {
            mortal_end(&world);
            start();
        }
        for (int i = 0; i < 10; i++) {
            ring_receive(g, 4096);
            while (ring_packet(g, &h, g->reply)) {
                if (h.type == XK_STORE_WATCH_EVENT)
                    continue;
                EQ(h.type, XK_STORE_READ);
                STREQ(g->reply, big);
                replies++;
            }
            xk_evtchn_notify(g->p, g->page.port);
            ring_round(&world);
        }
        EQ(g->in_bytes, 0);
        EQ(replies, 2 * (dies + 1));
        world_close();
    }
}

/* The indices of a ring come round again after 4 GiB. A note that is that old would be taken for one of today. */
TEST(a_note_is_renewed_before_the_indices_come_round)
{
    struct xk_store_stats a, b;

    world_open(1);
    for (int far = 0; far < 2; far++) {
        if (far)
            xk__ring_of(world.service, 2)->unnoted = (1u << 30) + 1;
        xk_store_server_stats(xk_store_service_server(world.service), &a);
        OK(ring_text(&world, 2, XK_STORE_READ, "none") == XK_ENOENT);
        xk_store_server_stats(xk_store_service_server(world.service), &b);
        EQ(b.journal_batches - a.journal_batches, far);
    }
    EQ(xk__ring_of(world.service, 2)->unnoted, 0);
    world_close();
}

/* A guest on a processor of its own fills its ring while the store empties it. */
static long refills;

static void refill(void)
{
    struct ring_guest *g = &world.guest[2];
    uint8_t packet[64];

    if (++refills > 100000)
        TAP_FAIL("nobody else is served");
    ring_receive(g, 4096);
    g->in_bytes = 0;
    ring_send(g, packet, ring_request(packet, XK_STORE_WRITE, ++g->id, 0, "v\0v", 3));
}

TEST(a_guest_that_never_stops_does_not_stop_others)
{
    world_open(1);
    put_request(2, XK_STORE_WRITE, "v\0v", 3);
    on_moment = refill;
    inside = true;
    for (int i = 0; i < 3; i++) {
        OK(ring_text(&world, 3, XK_STORE_READ, "none") == XK_ENOENT);
        xk_fake_advance(world.fake, 2);
    }
    inside = false;
    on_moment = NULL;
    printf("# %ld requests of the other one\n", refills);
    world_close();
}
