/* The store's unix socket: a client that has many requests under way is looked out for, and its requests are taken from
 * the socket only with their answers. Each is answered once, in order, whatever comes between. SPDX-License-Identifier:
 * MIT */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <linux/sockios.h>

#include <xenkit/handle.h>
#include <xenkit/store_service.h>

#include "base/list.h"
#include "tests/c/tap.h"
#include "tests/c/platform/world.h"

static void (*const unused)(struct world *) __attribute__((unused)) = world_open_fake;

enum { WINDOW = 16 };

static struct world world;
static struct xk_loop *loop;
static struct xk_store_service *service;
static int listener;

struct client {
    int fd;
    uint32_t asked, answered;
    uint8_t in[65536];
    size_t got;
};

static void begin(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    world_open_hosted(&world);
    EQ(xk_loop_create(NULL, world.dom[1], &loop), 0);
    xk_loop_set_spin(loop, XK_SPIN_WAKE);
    EQ(xk_store_service_create(NULL, loop, NULL, &service), 0);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    EQ(bind(listener, (struct sockaddr *)&a, sizeof(a.sun_family)), 0); /* a name that Linux makes */
    EQ(listen(listener, 8), 0);
    EQ(xk_store_service_listen(service, listener), 0);
}

static void end(void)
{
    xk_store_service_destroy(service);
    xk_loop_destroy(loop);
    close(listener);
    world_close(&world);
}

static void client_open(struct client *c)
{
    struct sockaddr_un a;
    socklen_t n = sizeof(a);

    memset(c, 0, sizeof(*c));
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    EQ(getsockname(listener, (struct sockaddr *)&a, &n), 0);
    EQ(connect(c->fd, (struct sockaddr *)&a, n), 0);
}

static int digits = 1; /* of a value */

/* (count) requests by one call. */
static void ask(struct client *c, int count)
{
    uint8_t out[WINDOW * 1024];
    size_t n = 0;

    OK(count <= WINDOW);
    for (int i = 0; i < count; i++) {
        struct xk_store_header h = {XK_STORE_WRITE, ++c->asked, 0, 0};
        h.len = (uint32_t)sprintf((char *)out + n + XK_STORE_HEADER_SIZE, "/a%c%0*u", 0, digits, c->asked);
        xk_store_header_put(&h, out + n);
        n += XK_STORE_HEADER_SIZE + h.len;
    }
    EQ(send(c->fd, out, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* What has come: the next answer must be that of the oldest request. */
static void hear(struct client *c)
{
    ssize_t n = recv(c->fd, c->in + c->got, sizeof(c->in) - c->got, MSG_DONTWAIT);
    struct xk_store_header h;
    size_t at = 0;

    c->got += n > 0 ? (size_t)n : 0;
    while (c->got - at >= XK_STORE_HEADER_SIZE && xk_store_header_get(&h, c->in + at) == 0 &&
           c->got - at >= XK_STORE_HEADER_SIZE + h.len) {
        EQ(h.type, XK_STORE_WRITE);
        EQ(h.req_id, ++c->answered);
        at += XK_STORE_HEADER_SIZE + h.len;
    }
    memmove(c->in, c->in + at, c->got - at);
    c->got -= at;
}

static void settle(struct client *c)
{
    xk_time until = xk_now(world.dom[1]) + 5 * XK_SECOND;

    for (hear(c); c->answered < c->asked && xk_now(world.dom[1]) < until; hear(c))
        OK(xk_loop_run_once(loop, until) >= 0);
    EQ(c->answered, c->asked);
}

/* How many of the client's bytes are still in the socket. */
static int unread_of(const struct client *c)
{
    int n = -1;

    EQ(ioctl(c->fd, SIOCOUTQ, &n), 0);
    return n;
}

static void nothing_more(struct client *c)
{
    for (int i = 0; i < 5; i++) {
        OK(xk_loop_run_once(loop, xk_now(world.dom[1]) + XK_MS) >= 0);
        hear(c);
    }
    EQ(c->answered, c->asked);
    EQ(c->got, 0);
    EQ(unread_of(c), 0);
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

TEST(requests_under_way_together_are_answered_in_order)
{
    static struct client c;

    begin();
    client_open(&c);
    for (int i = 0; i < 40; i++) {
        ask(&c, i % 3 ? WINDOW : 1 + i % 2);
        settle(&c);
        EQ(unread_of(&c), 0); /* with the answer it is taken */
    }
    nothing_more(&c);
    close(c.fd);
    end();
}

/* As much as one read takes, and more. */
TEST(large_requests_under_way_together)
{
    static struct client c;

    begin();
    client_open(&c);
    for (digits = 100; digits <= 1000; digits += 100) {
        ask(&c, WINDOW);
        ask(&c, WINDOW);
        settle(&c);
        EQ(unread_of(&c), 0);
    }
    digits = 1;
    nothing_more(&c);
    close(c.fd);
    end();
}

static struct client *asks_more;
static int looked_at;

static void on_more(struct xk_defer *d)
{
    (void)d;
    looked_at += unread_of(asks_more) > 0;
    ask(asks_more, WINDOW / 2);
}

TEST(what_comes_before_the_answers_are_sent_is_served_too)
{
    static struct client c;
    struct xk_defer more = {.fn = on_more};

    begin();
    client_open(&c);
    asks_more = &c;
    for (int i = 0; i < 20; i++) {
        ask(&c, WINDOW);
        xk_defer_start(loop, &more); /* before the answers are sent, as it is first */
        settle(&c);
    }
    EQ(looked_at, 19); /* all but the first time, when it was not known yet */
    nothing_more(&c);
    close(c.fd);
    end();
}

TEST(only_who_has_several_requests_under_way_is_looked_out_for)
{
    static struct client c;
    struct xk_loop_stats one, many;

    begin();
    client_open(&c);
    for (int i = 0; i < 20; i++) {
        ask(&c, 1);
        settle(&c);
    }
    xk_loop_get_stats(loop, &one);
    EQ(one.spins, 0);
    for (int i = 0; i < 20; i++) {
        ask(&c, WINDOW);
        settle(&c);
        OK(xk_loop_run_once(loop, xk_now(world.dom[1]) + XK_MS / 10) >= 0);
    }
    xk_loop_get_stats(loop, &many);
    OK(many.spins > 0);
    for (int i = 0; i < 100; i++) /* when it pauses, the loop just sleeps */
        OK(xk_loop_run_once(loop, xk_now(world.dom[1]) + XK_MS / 10) >= 0);
    xk_loop_get_stats(loop, &one);
    EQ(one.spins, many.spins);
    close(c.fd);
    end();
}

/* Half a request is looked at, too, and is taken all the same. */
TEST(a_request_in_pieces)
{
    static struct client c;
    uint8_t packet[64];
    struct xk_store_header h = {XK_STORE_WRITE, 0, 0, 3 + 5};

    begin();
    client_open(&c);
    ask(&c, WINDOW);
    settle(&c);
    for (int i = 1; i < (int)XK_STORE_HEADER_SIZE + 8; i++) {
        h.req_id = ++c.asked;
        xk_store_header_put(&h, packet);
        memcpy(packet + XK_STORE_HEADER_SIZE, "/b\0piece", 8);
        EQ(send(c.fd, packet, (size_t)i, MSG_NOSIGNAL), i);
        OK(xk_loop_run_once(loop, xk_now(world.dom[1]) + XK_MS) >= 0);
        EQ(send(c.fd, packet + i, XK_STORE_HEADER_SIZE + 8u - (size_t)i, MSG_NOSIGNAL), XK_STORE_HEADER_SIZE + 8 - i);
        settle(&c);
        if (i % 7 == 0) {
            ask(&c, WINDOW);
            settle(&c);
        }
    }
    nothing_more(&c);
    close(c.fd);
    end();
}

TEST(two_clients_at_once)
{
    static struct client a, b;

    begin();
    client_open(&a);
    client_open(&b);
    for (int i = 0; i < 40; i++) {
        ask(&a, WINDOW);
        if (i % 4)
            ask(&b, 1 + i % WINDOW);
        settle(&a);
        settle(&b);
    }
    nothing_more(&a);
    nothing_more(&b);
    close(a.fd);
    ask(&b, WINDOW);
    settle(&b);
    nothing_more(&b);
    close(b.fd);
    end();
}

/* --- served while the loop spins ---------------------------------------------------------------------------------- */

/* Something happens in the middle of a spin, as only a client that runs at the same time could have it. */
static void (*meanwhile)(struct client *c);
static struct client *whose;
static int in_time;      /* all was answered by the next look */
static int spins_before; /* so many spins before that */

static int on_spin(struct xk_spinner *s, int sleeping)
{
    void (*fn)(struct client *) = sleeping ? NULL : meanwhile;

    (void)s;
    if (fn && spins_before-- <= 0) {
        meanwhile = NULL;
        in_time = -1;
        fn(whose);
    } else if (!fn && in_time < 0) {
        hear(whose);
        in_time = whose->answered == whose->asked && unread_of(whose) == 0;
    }
    return 0;
}

static struct xk_spinner spinner = {.fn = on_spin};

/* A hasty client whose next act is (fn): runs the loop until it was done. How many descriptors were ready then. */
static uint64_t ready_while(struct client *c, void (*fn)(struct client *c))
{
    struct xk_loop_stats before, after;

    ask(c, WINDOW);
    settle(c);
    xk_spinner_start(loop, &spinner);
    whose = c;
    meanwhile = fn;
    xk_loop_get_stats(loop, &before);
    for (int i = 0; i < 100 && meanwhile; i++)
        OK(xk_loop_run_once(loop, xk_now(world.dom[1]) + XK_MS) >= 0);
    OK(meanwhile == NULL);
    xk_spinner_stop(&spinner);
    xk_loop_get_stats(loop, &after);
    return after.descriptors - before.descriptors;
}

static void one_more(struct client *c) { ask(c, 1); }
static void many_more(struct client *c) { ask(c, WINDOW); }
static void shut(struct client *c)
{
    close(c->fd);
    in_time = 0;
}

static void nonsense(struct client *c)
{
    struct xk_store_header h = {XK_STORE_WRITE, 1, 0, 100000};
    uint8_t packet[XK_STORE_HEADER_SIZE];

    in_time = 0;
    xk_store_header_put(&h, packet);
    EQ(send(c->fd, packet, sizeof(packet), MSG_NOSIGNAL), sizeof(packet));
}

TEST(a_hasty_client_is_answered_within_the_spin)
{
    static struct client c;

    begin();
    client_open(&c);
    ask(&c, WINDOW);
    settle(&c);
    for (int i = 0; i < 20; i++) {
        EQ(ready_while(&c, i % 2 ? one_more : many_more), 0);
        EQ(in_time, 1);
    }
    nothing_more(&c);
    close(c.fd);
    end();
}

TEST(one_that_leaves_or_talks_nonsense_within_the_spin)
{
    static struct client c, other;
    char byte;

    begin();
    client_open(&other);
    ask(&other, 1);
    settle(&other);
    client_open(&c);
    ready_while(&c, shut);
    client_open(&c);
    ready_while(&c, nonsense);
    for (int i = 0; i < 3; i++)
        OK(xk_loop_run_once(loop, xk_now(world.dom[1]) + XK_MS) >= 0);
    EQ(recv(c.fd, &byte, 1, MSG_DONTWAIT), 0); /* it was closed */
    close(c.fd);
    ask(&other, WINDOW);
    settle(&other);
    nothing_more(&other);
    close(other.fd);
    end();
}

/* Who is served within spins does not keep others from being served. */
TEST(another_client_beside_a_hasty_one)
{
    static struct client c, other;

    begin();
    client_open(&other);
    client_open(&c);
    for (int i = 0; i < 10; i++) {
        ready_while(&c, many_more);
        ask(&other, 1);
        ask(&c, WINDOW);
        settle(&other);
        settle(&c);
    }
    nothing_more(&c);
    nothing_more(&other);
    close(c.fd);
    close(other.fd);
    end();
}

static int on_greedy(struct xk_spinner *s, int sleeping)
{
    (void)s;
    hear(whose);
    if (!sleeping && whose->answered == whose->asked && whose->asked < 100 * WINDOW)
        ask(whose, WINDOW);
    return 0;
}

/* However soon it comes back. */
TEST(a_hasty_client_waits_for_its_turn)
{
    static struct client c, other;
    static struct xk_spinner greedy = {.fn = on_greedy};
    uint32_t begun;

    begin();
    client_open(&other);
    client_open(&c);
    ask(&other, 1);
    settle(&other);
    ask(&c, WINDOW);
    settle(&c);
    ask(&c, WINDOW);
    settle(&c);
    whose = &c;
    xk_spinner_start(loop, &greedy);
    ask(&other, 1);
    begun = c.asked;
    settle(&other);
    OK(c.asked - begun <= 16 * WINDOW); /* a few looks a round, for two rounds */
    xk_spinner_stop(&greedy);
    settle(&c);
    close(c.fd);
    close(other.fd);
    end();
}

static uint32_t begun; /* how many requests were begun since somebody looked */
static uint32_t early; /* how many of those were answered before the next one was */

static int on_request(void *arg, unsigned domid, uint32_t type, const char *payload, size_t n)
{
    uint32_t answered = whose->answered;

    (void)arg, (void)domid, (void)type, (void)payload, (void)n;
    begun++;
    hear(whose);
    early += whose->answered - answered;
    return 0;
}

/* Who waits already, as its requests came by one call, is answered the first one before the others are carried out: it
 * does not go to sleep meanwhile. One that is still sending is answered all at once. */
TEST(the_first_of_several_is_not_kept_waiting)
{
    static const struct xk_store_policy policy = {.permit = on_request};
    static struct xk_spinner greedy = {.fn = on_greedy};
    static struct client c;

    begin();
    client_open(&c);
    whose = &c;
    xk_store_service_set_policy(service, &policy, NULL);
    xk_store_server_hooks(xk_store_service_server(service), 1u << XK_STORE_WRITE, 0);
    ask(&c, WINDOW);
    settle(&c);
    for (int i = 0; i < 10; i++) {
        ask(&c, WINDOW);
        settle(&c);
        xk_spinner_start(loop, &spinner);
        begun = early = 0;
        spins_before = 2;
        meanwhile = many_more;
        for (int k = 0; k < 100 && meanwhile; k++)
            OK(xk_loop_run_once(loop, xk_now(world.dom[1]) + XK_MS) >= 0);
        xk_spinner_stop(&spinner);
        settle(&c);
        EQ(begun, WINDOW);
        EQ(early, 1);
    }
    nothing_more(&c);
    ask(&c, WINDOW);
    settle(&c);
    begun = early = 0;
    xk_spinner_start(loop, &greedy); /* it asks again as soon as it was answered */
    for (int i = 0; i < 20; i++)
        OK(xk_loop_run_once(loop, xk_now(world.dom[1]) + XK_MS) >= 0);
    xk_spinner_stop(&greedy);
    settle(&c);
    OK(begun > 50 * WINDOW);
    OK(early * WINDOW < begun / 4);
    close(c.fd);
    end();
}

/* What it put off is not left for somebody who may never come. */
TEST(one_that_is_dropped_leaves_nothing_undone)
{
    static struct client c, other;
    struct xk_store_stats st;
    uint8_t out[1024];
    size_t n = 0;
    struct xk_store_header h;
    static const struct {
        uint32_t type;
        const char *p;
        uint32_t n;
    } last[] = {{XK_STORE_TRANSACTION_START, "", 1}, {XK_STORE_RM, "/big", 5}, {XK_STORE_TRANSACTION_END, "T", 2}};

    begin();
    client_open(&other);
    for (int i = 0; i < 100; i++) {
        h = (struct xk_store_header){XK_STORE_WRITE, ++other.asked, 0, 0};
        h.len = (uint32_t)sprintf((char *)out + XK_STORE_HEADER_SIZE, "/big/%d", i) + 1;
        xk_store_header_put(&h, out);
        EQ(send(other.fd, out, XK_STORE_HEADER_SIZE + h.len, MSG_NOSIGNAL), (ssize_t)(XK_STORE_HEADER_SIZE + h.len));
        settle(&other);
    }
    client_open(&c);
    for (unsigned i = 0; i < 3; i++) {
        h = (struct xk_store_header){last[i].type, 1, i ? 1u : 0, last[i].n}; /* the first transaction is number 1 */
        xk_store_header_put(&h, out + n);
        memcpy(out + n + XK_STORE_HEADER_SIZE, last[i].p, last[i].n);
        n += XK_STORE_HEADER_SIZE + last[i].n;
    }
    h = (struct xk_store_header){XK_STORE_WRITE, 1, 0, 100000};
    xk_store_header_put(&h, out + n);
    n += XK_STORE_HEADER_SIZE;
    EQ(send(c.fd, out, n, MSG_NOSIGNAL), (ssize_t)n);
    for (int i = 0; i < 5; i++)
        OK(xk_loop_run_once(loop, xk_now(world.dom[1]) + XK_MS) >= 0);
    xk_store_server_stats(xk_store_service_server(service), &st);
    EQ(st.commits, 1);
    EQ(st.connections, 1);
    OK(st.nodes_held <= st.nodes + 1);
    close(c.fd);
    close(other.fd);
    end();
}

/* --- a hand-over between the requests and their answers ----------------------------------------------------------- */

static struct xk_file *state;
static int saved;

static void on_between(struct xk_defer *d)
{
    (void)d;
    saved = xk_store_service_save(service, state);
}

TEST(what_was_looked_at_is_not_asked_again_after_a_hand_over)
{
    static struct client c;
    static uint8_t bytes[65536];
    struct xk_defer between = {.fn = on_between};
    struct xk_store_service *old;
    struct xk_store_trailer trailer;
    struct xk_diag diag = {0};
    int fds[2], n;

    begin();
    client_open(&c);
    for (int i = 0; i < 3; i++) {
        ask(&c, WINDOW);
        settle(&c);
    }
    EQ(xk_file_memory(NULL, sizeof(bytes), &state), 0);
    ask(&c, WINDOW);
    saved = 1;
    xk_defer_start(loop, &between); /* before the answers are sent, as it is first */
    for (int i = 0; i < 3 && saved == 1; i++)
        OK(xk_loop_run_once(loop, XK_NOW) >= 0);
    EQ(saved, 0);
    hear(&c);
    EQ(c.answered, c.asked - WINDOW);
    EQ(unread_of(&c), 0);
    n = xk_file_read(state, bytes, sizeof(bytes), 0);
    OK(n > (int)sizeof(trailer) + 4);
    memcpy(&trailer, bytes + n - (int)sizeof(trailer), sizeof(trailer));
    EQ(trailer.sockets, 1);
    memcpy(&fds[0], bytes + n - (int)sizeof(trailer) - 4, 4);
    fds[1] = dup(fds[0]);
    old = service;
    EQ(xk_store_service_create(NULL, loop, NULL, &service), 0);
    EQ(xk_store_service_load(service, bytes, (size_t)n, fds, 1, &diag), 0);
    xk_store_service_destroy(old);
    settle(&c);
    ask(&c, WINDOW);
    settle(&c);
    nothing_more(&c);
    close(c.fd);
    xk_file_close(state);
    end();
}
