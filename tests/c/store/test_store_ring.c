/* The store's side of a ring page: a connection that is begun anew at the guest's wish (xenstore-ring.txt).
 * SPDX-License-Identifier: MIT */
#include "tests/c/store/ring.h"
#include "tests/c/tap.h"

enum { CONNECTION = 2068 };

static struct ring_world world;
static struct ring_guest *guest = &world.guest[2];

static void setup(void)
{
    ring_world(&world, 1);
    ring_service(&world, NULL);
    ring_introduce_all(&world);
}

static void done(void)
{
    OK(ring_text(&world, 0, XK_STORE_CONTROL, "check") == 0);
    STREQ(world.guest[0].reply, "OK");
    ring_end(&world);
}

static void ask_anew(void)
{
    ring_set(guest, CONNECTION, 1);
    xk_evtchn_notify(guest->p, guest->page.port);
    ring_round(&world);
    EQ(ring_get(guest, CONNECTION), 0);
    EQ(ring_get(guest, RING_ERROR_WORD), XK_STORE_RING_OK);
    EQ(ring_get(guest, RING_REQ_CONS), ring_get(guest, RING_REQ_PROD));
    EQ(ring_get(guest, RING_RSP_CONS), ring_get(guest, RING_RSP_PROD));
    guest->in_bytes = 0;
}

/* Half a request and a reply that nobody fetched are dropped, watches and transactions are gone. */
TEST(a_guest_begins_anew)
{
    struct xk_store_stats st;
    uint8_t packet[64];
    size_t n;

    setup();
    OK(ring_text(&world, 2, XK_STORE_WATCH, "x\0t") == 0);
    OK(ring_text(&world, 2, XK_STORE_TRANSACTION_START, "") == 0);
    ring_receive(guest, sizeof(guest->in));
    OK(ring_write(&world, 0, "/local/domain/2/x", "an event that nobody fetches") == 0);
    n = ring_request(packet, XK_STORE_WRITE, 77, 0, "x\0half", 6);
    ring_send(guest, packet, n - 3);
    xk_evtchn_notify(guest->p, guest->page.port);
    ring_round(&world);
    OK(ring_get(guest, RING_RSP_PROD) != ring_get(guest, RING_RSP_CONS));
    ask_anew();
    xk_store_server_stats(xk_store_service_server(world.service), &st);
    EQ(st.transactions, 0);
    OK(ring_path(&world, 2, XK_STORE_READ, "x") == 0);
    STREQ(guest->reply, "an event that nobody fetches");
    guest->events = 0;
    OK(ring_write(&world, 0, "/local/domain/2/x", "2") == 0);
    OK(ring_path(&world, 2, XK_STORE_READ, "x") == 0);
    EQ(guest->events, 0);
    done();
}

/* A guest that was ignored is served again, at its own indices, which may lie anywhere. */
TEST(an_ignored_guest_begins_anew)
{
    setup();
    for (int round = 0; round < 20; round++) {
        ring_set(guest, RING_REQ_PROD, ring_get(guest, RING_REQ_CONS) + 5000);
        xk_evtchn_notify(guest->p, guest->page.port);
        ring_round(&world);
        EQ(ring_get(guest, RING_ERROR_WORD), XK_STORE_RING_INDEX);
        OK(ring_write(&world, 0, "/local/domain/2/x", "somebody else is served") == 0);
        ring_set(guest, RING_REQ_PROD, 0xfffffe00u + (uint32_t)round);
        ring_set(guest, RING_RSP_CONS, 0x7ffffff0u * (uint32_t)round);
        ask_anew();
        for (int i = 0; i < 40; i++)
            OK(ring_write(&world, 2, "y", "so many that both rings go round, and the indices over their ends") == 0);
    }
    done();
}

/* Where the feature is off, the word means nothing. */
TEST(only_where_it_is_offered)
{
    setup();
    OK(ring_text(&world, 0, XK_STORE_RELEASE, "2") == 0);
    OK(ring_text(&world, 0, XK_STORE_SET_FEATURE,
                 "2\0"
                 "14") == 0);
    OK(ring_introduce(&world, 2) == 0);
    OK(ring_path(&world, 0, XK_STORE_MKDIR, "/local/domain/2") == 0);
    OK(ring_text(&world, 0, XK_STORE_SET_PERMS, "/local/domain/2\0n2") == 0);
    OK(ring_text(&world, 2, XK_STORE_TRANSACTION_START, "") == 0);
    ring_set(guest, CONNECTION, 1);
    xk_evtchn_notify(guest->p, guest->page.port);
    ring_round(&world);
    EQ(ring_get(guest, CONNECTION), 1);
    OK(ring_write(&world, 2, "y", "served as ever") == 0);
    done();
}
