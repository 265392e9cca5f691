/* The life cycle of devices, with a real store between the two halves and a test as toolstack.
 * SPDX-License-Identifier: MIT */
#include <xenkit/xenbus.h>

#include "tests/c/store/ring.h"
#include "tests/c/tap.h"

enum { FRONT = 2, BACK = 3, OTHER = 4 }; /* domains */
#define F "/local/domain/2/device/vbd/51712"
#define B "/local/domain/3/backend/vbd/2/51712"
#define B2 "/local/domain/4/backend/vbd/2/51712"

struct half {
    struct xk_loop *loop;
    struct xk_store *store;
    struct xk_xenbus *device;
    char log[512];
    int fail;       /* what the next call gives, */
    int why;        /* with a word of this number */
    int hold_close; /* closed is said later */
    int suspends;   /* from within connect */
    int hold_gone;  /* it is freed later */
    unsigned value; /* what it puts */
    uint64_t seen;  /* what it read of the other's */
};

static struct ring_world world;
static struct half half[RING_DOMAINS];

static void note(struct half *h, const char *what, int n)
{
    size_t at = strlen(h->log);
    snprintf(h->log + at, sizeof(h->log) - at, n ? "%s%s(%d)" : "%s%s", at ? " " : "", what, n);
}

static int result(struct half *h)
{
    int r = h->fail, why = h->why;
    h->fail = h->why = 0;
    return why ? xk_xenbus_refuse(h->device, r, "reason %d", why) : r;
}

static int offer(struct xk_xenbus *d, void *arg)
{
    struct half *h = arg;
    note(h, "offer", 0);
    EQ(xk_xenbus_put(d, "feature-of-back", "%u", h->value), 0);
    return result(h);
}

static int setup(struct xk_xenbus *d, void *arg)
{
    struct half *h = arg;
    note(h, "setup", 0);
    h->seen = xk_xenbus_number(d, "feature-of-back", 0);
    EQ(xk_xenbus_put(d, "ring-ref", "%u", h->value), 0);
    return result(h);
}

static int connect_front(struct xk_xenbus *d, void *arg, int again)
{
    struct half *h = arg;
    note(h, "connect", again);
    h->seen = xk_xenbus_number(d, "sectors", 0);
    if (h->suspends)
        xk_xenbus_suspend(d);
    return result(h);
}

static int connect_back(struct xk_xenbus *d, void *arg, int again)
{
    struct half *h = arg;
    note(h, "connect", again);
    h->seen = xk_xenbus_number(d, "ring-ref", 0);
    STREQ(xk_xenbus_get(d, "params"), "disk.img");
    EQ(xk_xenbus_put(d, "sectors", "%u", h->value * 10), 0);
    return result(h);
}

static void changed(struct xk_xenbus *d, void *arg)
{
    struct half *h = arg;
    note(h, "changed", 0);
    h->seen = xk_xenbus_number(d, "sectors", 0);
}

static void closing(struct xk_xenbus *d, void *arg, int err)
{
    struct half *h = arg;
    note(h, "close", err == XK_EGONE ? 1 : err ? 2 : 0);
    if (!h->hold_close)
        xk_xenbus_closed(d);
}

static void gone(struct xk_xenbus *d, void *arg)
{
    struct half *h = arg;
    note(h, "gone", 0);
    if (h->hold_gone)
        return;
    xk_xenbus_free(d);
    h->device = NULL;
}

static const char *const from_back[] = {"feature-of-back", "sectors", NULL}, *const from_front[] = {"ring-ref", NULL},
                         *const own_back[] = {"params", NULL};
static const struct xk_xenbus_driver front_driver = {from_back,     NULL,    NULL,    setup,
                                                     connect_front, changed, closing, gone};
static const struct xk_xenbus_driver back_driver = {from_front,   own_back, offer,   NULL,
                                                    connect_back, NULL,     closing, gone};

/* --- the world ---------------------------------------------------------------------------------------------------- */

static void settle(void)
{
    for (int i = 0; i < 60; i++) {
        ring_round(&world);
        for (int d = FRONT; d <= OTHER; d++)
            OK(xk_loop_run_once(half[d].loop, XK_NOW) >= 0);
        xk_fake_advance(world.fake, XK_MS);
    }
}

static void tell(const char *path, const char *value) { EQ(ring_write(&world, 0, path, value), 0); }
static void own(const char *path, unsigned owner, unsigned reader)
{
    char text[128];
    int n = snprintf(text, sizeof(text), "%s%cn%u%cr%u", path, 0, owner, 0, reader);
    EQ(ring_call(&world, 0, XK_STORE_SET_PERMS, text, (size_t)n + 1), 0);
}
static void both_may_read(const char *path)
{
    char text[128];
    int n = snprintf(text, sizeof(text), "%s%cn%u%cr%u%cr%u", path, 0, FRONT, 0, BACK, 0, OTHER);
    EQ(ring_call(&world, 0, XK_STORE_SET_PERMS, text, (size_t)n + 1), 0);
}
static const char *look(const char *path)
{
    int r = ring_path(&world, 0, XK_STORE_READ, path);
    return r == XK_ENOENT ? "none" : r ? xk_err_name(r) : world.guest[0].reply;
}
static void removed(const char *path) { EQ(ring_path(&world, 0, XK_STORE_RM, path), 0); }

static void folder(const char *path, const char *with, unsigned owner, unsigned peer, int back)
{
    char node[160], id[16];

    EQ(ring_path(&world, 0, XK_STORE_MKDIR, path), 0);
    own(path, owner, peer);
    snprintf(id, sizeof(id), "%u", peer);
    snprintf(node, sizeof(node), "%s/%s", path, back ? "frontend-id" : "backend-id");
    tell(node, id);
    snprintf(node, sizeof(node), "%s/%s", path, back ? "frontend" : "backend");
    tell(node, with);
    if (back) {
        snprintf(node, sizeof(node), "%s/params", path);
        tell(node, "disk.img");
        snprintf(node, sizeof(node), "%s/online", path);
        tell(node, "1");
    }
    snprintf(node, sizeof(node), "%s/state", path);
    tell(node, "1");
}

static void start(int who, const char *path)
{
    int r =
        who == FRONT
            ? xk_xenbus_front(NULL, half[who].loop, half[who].store, path, &front_driver, &half[who], &half[who].device)
            : xk_xenbus_back(NULL, half[who].loop, half[who].store, path, &back_driver, &half[who], &half[who].device);
    EQ(r, 0);
}

static void stop(int who)
{
    xk_xenbus_free(half[who].device);
    half[who].device = NULL;
    half[who].log[0] = '\0';
}

static void open_world(void)
{
    ring_world(&world, 7);
    ring_service(&world, NULL);
    ring_introduce_all(&world);
    for (unsigned d = FRONT; d <= OTHER; d++) {
        EQ(xk_loop_create(NULL, world.dom[d], &half[d].loop), 0);
        EQ(xk_store_open_domain(NULL, half[d].loop, &half[d].store), 0);
        half[d].value = d * 100;
    }
}

static void plug(void)
{
    folder(F, B, FRONT, BACK, 0);
    folder(B, F, BACK, FRONT, 1);
}

static void open_pair(void)
{
    open_world();
    plug();
    start(BACK, B);
    start(FRONT, "device/vbd/51712");
    settle();
}

static void forget(void)
{
    for (int d = FRONT; d <= OTHER; d++)
        half[d].log[0] = '\0';
}

static void close_world(void)
{
    for (int d = FRONT; d <= OTHER; d++) {
        if (half[d].device)
            stop(d);
        xk_store_close(half[d].store);
        xk_loop_destroy(half[d].loop);
    }
    ring_end(&world);
}

#define LOGS(front, back)              \
    do {                               \
        STREQ(half[FRONT].log, front); \
        STREQ(half[BACK].log, back);   \
    } while (0)
#define STATES(front, back)             \
    do {                                \
        STREQ(look(F "/state"), front); \
        STREQ(look(B "/state"), back);  \
    } while (0)

/* --- tests -------------------------------------------------------------------------------------------------------- */

TEST(both_halves_connect)
{
    open_pair();
    LOGS("setup connect", "offer connect");
    STATES("4", "4");
    EQ(half[BACK].seen, 200);
    EQ(half[FRONT].seen, 3000);
    STREQ(look(B "/feature-of-back"), "300");
    STREQ(look(F "/ring-ref"), "200");
    EQ(xk_xenbus_peer(half[FRONT].device), BACK);
    EQ(xk_xenbus_peer(half[BACK].device), FRONT);
    close_world();
}

TEST(the_front_end_may_come_first_or_last)
{
    open_world();
    folder(F, B, FRONT, BACK, 0);
    start(FRONT, "device/vbd/51712");
    settle();
    LOGS("", "");
    folder(B, F, BACK, FRONT, 1);
    settle();
    start(BACK, B);
    settle();
    LOGS("setup connect", "offer connect");
    STATES("4", "4");
    close_world();
}

TEST(a_new_size_is_told)
{
    open_pair();
    forget();
    EQ(xk_xenbus_put(half[BACK].device, "sectors", "%d", 7777), 0);
    xk_xenbus_update(half[BACK].device);
    settle();
    LOGS("changed", "");
    EQ(half[FRONT].seen, 7777);
    close_world();
}

TEST(the_toolstack_unplugs)
{
    open_pair();
    forget();
    tell(B "/online", "0"); /* as libxl does */
    tell(B "/state", "5");
    settle();
    LOGS("close", "close");
    STREQ(look(B "/state"), "6");
    removed(F);
    removed(B);
    settle();
    LOGS("close gone", "close gone");
    OK(!half[FRONT].device && !half[BACK].device);
    STATES("none", "none");
    plug();
    start(BACK, B);
    start(FRONT, "device/vbd/51712");
    settle();
    STATES("4", "4");
    close_world();
}

TEST(a_back_end_that_died_is_replaced_without_a_word)
{
    open_pair();
    forget();
    stop(BACK);
    settle();
    LOGS("", "");
    start(BACK, B);
    settle();
    STREQ(half[BACK].log, "connect(1)");
    STREQ(half[FRONT].log, "");
    STATES("4", "4");
    close_world();
}

TEST(a_front_end_that_died_is_replaced)
{
    open_pair();
    stop(FRONT);
    forget();
    start(FRONT, "device/vbd/51712");
    settle();
    LOGS("setup connect", "close offer connect");
    STATES("4", "4");
    close_world();
}

TEST(a_front_end_that_goes_leaves_the_back_end_ready)
{
    open_pair();
    forget();
    xk_xenbus_retire(half[FRONT].device);
    settle();
    LOGS("close", "close");
    STATES("6", "6");
    stop(FRONT);
    forget();
    start(FRONT, "device/vbd/51712");
    settle();
    LOGS("setup connect", "offer connect");
    close_world();
}

TEST(a_back_end_that_retires)
{
    open_pair();
    forget();
    xk_xenbus_retire(half[BACK].device);
    settle();
    LOGS("close", "close");
    STREQ(look(B "/state"), "6");
    close_world();
}

/* A domain that was saved has another client of the store. */
static void another_client(int who)
{
    xk_store_close(half[who].store);
    EQ(xk_store_open_domain(NULL, half[who].loop, &half[who].store), 0);
}

TEST(a_half_that_is_suspended_lets_go_of_its_store)
{
    open_pair();
    for (int i = 0; i < 3; i++) {
        struct half *h = &half[i == 2 ? BACK : FRONT];
        forget();
        xk_xenbus_suspend(h->device);
        xk_xenbus_suspend(h->device);
        EQ(xk_xenbus_state_of(h->device, 0), XK_XENBUS_UNKNOWN);
        EQ(xk_xenbus_state_of(h->device, 1), XK_XENBUS_UNKNOWN);
        OK(!xk_xenbus_get(h->device, "sectors"));
        EQ(xk_xenbus_put(h->device, "a", "b"), XK_ENOTCONN);
        xk_xenbus_update(h->device);
        another_client(i == 2 ? BACK : FRONT);
        settle();
        STREQ(h->log, "close");
        STATES("4", "4");
        EQ(xk_xenbus_resume(h->device, h->store), 0);
        EQ(xk_xenbus_resume(h->device, h->store), XK_EBUSY);
        settle();
        if (i < 2)
            LOGS("close setup connect", "close offer connect");
        else
            LOGS("", "close connect(1)"); /* in place of one that died, for all that it knows */
        STATES("4", "4");
    }
    xk_xenbus_suspend(half[FRONT].device); /* and is freed while it is */
    close_world();
}

TEST(a_driver_may_suspend_its_device)
{
    open_world();
    plug();
    half[FRONT].suspends = 1;
    start(BACK, B);
    start(FRONT, "device/vbd/51712");
    settle();
    STREQ(half[FRONT].log, "setup connect close");
    STATES("3", "4");
    half[FRONT].suspends = 0;
    EQ(xk_xenbus_resume(half[FRONT].device, half[FRONT].store), 0);
    settle();
    STATES("4", "4");
    close_world();
}

TEST(what_was_retired_stays_so_after_a_suspend)
{
    for (int before = 0; before < 2; before++) {
        open_pair();
        if (before)
            xk_xenbus_retire(half[FRONT].device);
        xk_xenbus_suspend(half[FRONT].device);
        if (!before)
            xk_xenbus_retire(half[FRONT].device);
        settle();
        STATES("4", "4");
        EQ(xk_xenbus_resume(half[FRONT].device, half[FRONT].store), 0);
        settle();
        STREQ(half[FRONT].log, "setup connect close");
        STREQ(look(F "/state"), "6");
        close_world();
    }
}

TEST(a_driver_that_is_closing_is_not_told_again_by_a_suspend)
{
    open_pair();
    forget();
    half[FRONT].hold_close = 1;
    xk_xenbus_retire(half[FRONT].device);
    settle();
    xk_xenbus_suspend(half[FRONT].device);
    xk_xenbus_closed(half[FRONT].device);
    settle();
    LOGS("close", "");
    STATES("4", "4");
    close_world();
}

/* What there was has to be closed before it begins anew. */
TEST(a_resume_waits_for_what_is_being_closed)
{
    open_pair();
    for (int retiring = 0; retiring < 2; retiring++) {
        forget();
        half[BACK].hold_close = 1;
        if (retiring) {
            xk_xenbus_retire(half[FRONT].device);
            settle();
        }
        xk_xenbus_suspend(half[BACK].device);
        EQ(xk_xenbus_resume(half[BACK].device, half[BACK].store), 0);
        settle();
        xk_xenbus_update(half[BACK].device);
        settle();
        STREQ(half[BACK].log, "close");
        STREQ(look(B "/state"), "4");
        half[BACK].hold_close = 0;
        xk_xenbus_closed(half[BACK].device);
        settle();
        STREQ(half[BACK].log, retiring ? "close" : "close connect(1)");
        STREQ(look(B "/state"), retiring ? "6" : "4");
        xk_xenbus_closed(half[BACK].device); /* once more: nothing */
    }
    close_world();
}

TEST(no_transaction_stays_open)
{
    struct xk_store_stats stats;

    open_world();
    plug();
    start(BACK, B);
    settle();
    for (int i = 0; i < 90; i++) { /* suspended or freed after each number of rounds, or suspended by its driver */
        start(FRONT, "device/vbd/51712");
        half[FRONT].suspends = i % 3 == 1;
        for (int k = 0; k < i / 3; k++) {
            ring_round(&world);
            OK(xk_loop_run_once(half[FRONT].loop, XK_NOW) >= 0);
            OK(xk_loop_run_once(half[BACK].loop, XK_NOW) >= 0);
        }
        if (i % 3 == 0)
            xk_xenbus_suspend(half[FRONT].device);
        stop(FRONT);
    }
    half[FRONT].suspends = 0;
    settle();
    xk_store_server_stats(xk_store_service_server(world.service), &stats);
    EQ(stats.transactions, 0);
    start(FRONT, "device/vbd/51712");
    settle();
    STATES("4", "4");
    close_world();
}

TEST(a_device_that_is_gone_stays_so)
{
    open_pair();
    stop(FRONT);
    half[BACK].hold_gone = 1;
    removed(B);
    settle();
    forget();
    xk_xenbus_suspend(half[BACK].device);
    EQ(xk_xenbus_resume(half[BACK].device, half[BACK].store), 0);
    settle();
    STREQ(half[BACK].log, "");
    close_world();
}

TEST(a_device_is_freed_while_its_client_breaks)
{
    open_pair();
    tell(B "/state", "4");
    OK(xk_loop_run_once(half[FRONT].loop, XK_NOW) >= 0);    /* it reads */
    ring_set(&world.guest[FRONT], RING_REQ_CONS, 12345678); /* and its ring is spoiled */
    stop(FRONT);
    EQ(xk_loop_next(half[FRONT].loop), XK_FOREVER);
    close_world();
}

TEST(a_guest_that_is_gone)
{
    open_pair();
    forget();
    stop(FRONT);
    removed("/local/domain/2");
    settle();
    STREQ(half[BACK].log, "close(1)");
    STREQ(look(B "/state"), "6");
    STREQ(look(F "/state"), "none"); /* nobody made it again */
    removed(B);
    settle();
    STREQ(half[BACK].log, "close(1) gone");
    close_world();
}

TEST(closing_takes_its_time)
{
    open_pair();
    forget();
    half[BACK].hold_close = 1;
    xk_xenbus_retire(half[FRONT].device);
    settle();
    LOGS("close", "close");
    STATES("6", "4");
    xk_xenbus_closed(half[BACK].device);
    settle();
    STATES("6", "6");
    close_world();
}

TEST(a_driver_that_cannot_says_why_and_is_not_asked_again_and_again)
{
    open_world();
    plug();
    half[FRONT].fail = XK_ENOSPC;
    start(BACK, B);
    start(FRONT, "device/vbd/51712");
    settle();
    STREQ(half[FRONT].log, "setup");
    OK(strstr(look(F "/error"), "XK_ENOSPC"));
    settle();
    STREQ(half[FRONT].log, "setup");
    xk_fake_advance(world.fake, XK_SECOND);
    settle();
    STREQ(half[FRONT].log, "setup setup connect");
    STATES("4", "4");
    close_world();
}

TEST(a_back_end_that_cannot_connect)
{
    open_world();
    plug();
    start(BACK, B);
    settle();
    half[BACK].fail = XK_EPEER;
    start(FRONT, "device/vbd/51712");
    settle();
    STREQ(look(B "/state"), "6");
    OK(strstr(look(B "/error"), "XK_EPEER"));
    STREQ(half[FRONT].log, "setup close");
    STREQ(half[BACK].log, "offer connect");
    xk_fake_advance(world.fake, XK_SECOND);
    settle();
    STREQ(half[BACK].log, "offer connect offer connect");
    STATES("4", "4");
    close_world();
}

TEST(a_driver_says_what_is_wrong)
{
    open_world();
    plug();
    start(BACK, B);
    settle();
    half[BACK].fail = XK_EPEER;
    half[BACK].why = 17;
    start(FRONT, "device/vbd/51712");
    settle();
    STREQ(look(B "/error"), "1003 XK_EPEER: reason 17");
    half[BACK].fail = XK_ENOMEM; /* of which it says nothing more */
    xk_fake_advance(world.fake, XK_SECOND);
    settle();
    STREQ(look(B "/error"), "12 XK_ENOMEM");
    close_world();
}

/* The front end's link is changed to another back end while it is connected. */
TEST(a_front_end_follows_its_link)
{
    open_pair();
    forget();
    both_may_read(F "/state");
    both_may_read(F "/ring-ref");
    both_may_read(F "/backend");
    both_may_read(F);
    folder(B2, F, OTHER, FRONT, 1);
    start(OTHER, B2);
    settle();
    STREQ(half[OTHER].log, "offer");
    STREQ(look(B2 "/state"), "2");
    tell(F "/backend-id", "4");
    tell(F "/backend", B2);
    settle();
    STREQ(half[FRONT].log, "close(1) setup connect");
    STREQ(half[OTHER].log, "offer connect");
    EQ(half[FRONT].seen, 4000);
    STREQ(half[BACK].log, "close(1)");
    STREQ(look(B "/state"), "6");
    EQ(xk_xenbus_peer(half[FRONT].device), OTHER);
    close_world();
}

/* The same, the old back end's folder gone and our state begun anew, all before the front end looks. */
TEST(a_front_end_that_is_moved_and_reset_at_once)
{
    open_pair();
    forget();
    stop(BACK);
    removed(B);
    folder(B2, F, OTHER, FRONT, 1);
    both_may_read(F "/state");
    both_may_read(F "/ring-ref");
    both_may_read(F "/backend");
    both_may_read(F);
    tell(F "/backend-id", "4");
    tell(F "/backend", B2);
    tell(F "/state", "1");
    start(OTHER, B2);
    settle();
    STREQ(half[FRONT].log, "close(1) setup connect");
    STREQ(half[OTHER].log, "offer connect");
    STREQ(look(F "/state"), "4");
    close_world();
}

TEST(what_is_put_while_something_is_written_is_written_next)
{
    open_pair();
    forget();
    for (int k = 0; k < 24; k++) { /* at every moment of a write */
        char want[16];
        EQ(xk_xenbus_put(half[BACK].device, "sectors", "%d", 1000 + k), 0);
        xk_xenbus_update(half[BACK].device);
        for (int i = 0; i < k; i++)
            i % 2 ? (void)xk_loop_run_once(half[BACK].loop, XK_NOW) : ring_round(&world);
        EQ(xk_xenbus_put(half[BACK].device, "sectors", "%d", 2000 + k), 0);
        xk_xenbus_update(half[BACK].device);
        settle();
        snprintf(want, sizeof(want), "%d", 2000 + k);
        STREQ(look(B "/sectors"), want);
        EQ(half[FRONT].seen, 2000 + k);
    }
    close_world();
}

/* Writing would make a folder again that the toolstack has just removed. */
TEST(a_folder_that_is_removed_meanwhile_stays_so)
{
    open_world();
    plug();
    start(BACK, B);
    settle();
    start(FRONT, "device/vbd/51712");
    for (int i = 0; i < 60 && !half[FRONT].log[0]; i++) {
        ring_round(&world);
        xk_loop_run_once(half[FRONT].loop, XK_NOW);
        xk_fake_advance(world.fake, XK_MS);
    }
    STREQ(half[FRONT].log, "setup");
    removed(F);
    settle();
    STREQ(look(F), "none");
    STREQ(half[FRONT].log, "setup close(1) gone");
    close_world();
}

TEST(states_that_make_no_sense_are_ignored)
{
    static const char *const odd[] = {"7", "", "-1", "44", "4x", "reconfiguring", "8"};

    open_pair();
    forget();
    for (unsigned i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
        tell(F "/ring-ref", "999999999999999999999999");
        tell(B "/state", "4");
        settle();
    }
    STREQ(half[BACK].log, "");
    for (unsigned i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
        forget();
        tell(F "/state", odd[i]);
        settle();
        OK(half[BACK].log[0] == '\0' || strstr(half[BACK].log, "close(1)")); /* as if the guest were gone */
        tell(F "/state", "1");
        settle();
    }
    close_world();
}

static char found[1024];
static void on_found(void *arg, const char *path)
{
    (void)arg;
    if (!strstr(found, path))
        snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s ", path);
}

TEST(devices_are_found)
{
    struct xk_xenbus_watch *w;

    open_world();
    folder(B, F, BACK, FRONT, 1);
    EQ(xk_xenbus_watch(NULL, half[BACK].store, "backend/vbd", 2, on_found, NULL, &w), 0);
    settle();
    STREQ(found, "backend/vbd/2/51712 ");
    folder("/local/domain/3/backend/vbd/4/768", F, BACK, FRONT, 1);
    settle();
    STREQ(found, "backend/vbd/2/51712 backend/vbd/4/768 ");
    xk_xenbus_unwatch(w);
    close_world();
}
