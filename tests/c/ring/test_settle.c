/* Answers by a back half that is killed at each of its stores, and whose follower is, too; and what follows a record
 * that makes no sense. SPDX-License-Identifier: MIT */
#include <xenkit/ring.h>

#include "tests/c/steps.h"

enum { SLOT = 56, COUNT = 8, RECORD = 400, AREA = 64 + COUNT * SLOT + RECORD };

struct request {
    uint64_t word[SLOT / 8]; /* the first is its number, the others follow from it */
};
struct answer {
    uint64_t id, not_id;
};

static uint64_t seed = 1;
static unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((seed >> 33) % n);
}

static struct request request(uint64_t id)
{
    struct request r;

    for (unsigned i = 0; i < SLOT / 8; i++)
        r.word[i] = id * (1 + i * 0x9e3779b9u);
    return r;
}

/* One ring, and who knows what stands on it. */
struct bench {
    _Alignas(8) uint8_t area[AREA + 8];
    struct xk_ring_front front;
    struct xk_ring_back back;
    uint64_t next;            /* request's number */
    uint64_t entry[COUNT];    /* whose request stands there */
    uint64_t answers[COUNT];  /* of the settle that is tried */
    uint32_t n, place[COUNT]; /* (n) of them */
    uint64_t open[COUNT];     /* what is under way, the (n) included */
    unsigned opens;
    int shown, again, finished; /* how often it was found so; follow the follower, too */
};

static void begin(struct bench *b, uint32_t at)
{
    uint32_t *word = (uint32_t *)(void *)b->area;

    memset(b, 0, sizeof(*b));
    word[0] = word[2] = at;
    word[1] = word[3] = at + 1;
    EQ(xk_ring_front_attach(&b->front, b->area, AREA, SLOT), 0);
    EQ(b->front.count, COUNT);
    EQ(xk_ring_back_take_up(&b->back, b->area, AREA, SLOT), at != 0);
}

static void ask(struct bench *b, unsigned n)
{
    struct request got;

    for (; n; n--) {
        struct request r = request(++b->next);
        EQ(xk_ring_front_put(&b->front, &r, 1), 1);
        OK(xk_ring_front_publish(&b->front) >= 0);
        b->entry[b->back.req_cons % COUNT] = b->next;
        EQ(xk_ring_back_take(&b->back, &got, 1), 1);
        MEMEQ(&got, &r, sizeof(r));
        b->open[b->opens++] = b->next;
    }
}

/* Some of what is under way is to be answered, in any order. */
static void choose(struct bench *b)
{
    b->n = 1 + roll(b->opens);
    for (unsigned i = 0; i < b->n; i++) {
        unsigned k = i + roll(b->opens - i);
        uint64_t id = b->open[k];
        uint32_t at = (b->back.rsp_prod + i) % COUNT, place = 0;
        b->open[k] = b->open[i];
        b->open[i] = b->answers[i] = id;
        while (b->entry[place] != id)
            place++;
        b->place[i] = place;
        b->entry[place] = b->entry[at];
        b->entry[at] = 0;
    }
}

static int settle(struct bench *b)
{
    struct answer a[COUNT];

    for (unsigned i = 0; i < b->n; i++)
        a[i] = (struct answer){b->answers[i], ~b->answers[i]};
    return xk_ring_back_settle(&b->back, a, sizeof(*a), b->place, b->n);
}

static void run_settle(void *arg) { (void)settle(arg); }

/* Each request is answered, or stands on the ring, once and whole. */
static void whole(struct bench *b, struct xk_ring_back *next)
{
    uint32_t first = b->front.rsp_cons, shown = next->rsp_prod - first;
    struct xk_ring_front front = b->front;
    struct request r, want;
    unsigned times[COUNT] = {0}, all = 0;
    struct answer a;
    uint8_t slot[SLOT];

    OK(shown == 0 || shown == b->n);
    while (xk_ring_front_take(&front, slot, 1) == 1) {
        memcpy(&a, slot, sizeof(a));
        EQ(a.id, ~a.not_id);
        for (unsigned i = 0; i < b->n; i++)
            times[i] += b->open[i] == a.id;
        all++;
    }
    EQ(all, shown);
    while (xk_ring_back_take(next, &r, 1) == 1) {
        want = request(r.word[0]);
        MEMEQ(&r, &want, sizeof(r));
        for (unsigned i = 0; i < b->opens; i++)
            times[i] += b->open[i] == r.word[0];
        all++;
    }
    EQ(all, b->opens);
    for (unsigned i = 0; i < b->opens; i++)
        EQ(times[i], 1);
    b->shown += shown != 0;
}

static int follow(struct bench *b, struct xk_ring_back *next)
{
    return xk_ring_back_take_up(next, b->area, AREA, SLOT);
}

static void run_follow(void *arg)
{
    struct xk_ring_back next;

    (void)follow(arg, &next);
}

static void seen(void *arg, const uint8_t *area)
{
    struct bench *b = arg, copy = *b, again;
    struct steps s = {run_follow, seen, &again, again.area, AREA};
    struct xk_ring_back next;

    memcpy(copy.area, area, AREA);
    copy.front.shared = (volatile uint32_t *)(void *)copy.area;
    copy.front.slots = copy.area + 64;
    again = copy;
    again.front.shared = (volatile uint32_t *)(void *)again.area;
    again.front.slots = again.area + 64;
    (void)follow(&copy, &next);
    b->finished += next.rsp_prod != b->back.rsp_prod;
    whole(&copy, &next);
    b->shown += copy.shown - b->shown;
    if (b->again && roll(16) == 0) {
        again.again = 0;
        steps_run(&s);
    }
}

TEST(who_is_killed_at_any_store_leaves_each_request_answered_or_asked)
{
    static struct bench b;
    struct steps s = {run_settle, seen, &b, b.area, AREA};
    int finished = 0, shown = 0;

    for (int round = 0; round < tap_rounds(12); round++) {
        begin(&b, round % 2 ? 0xfffffffdu : roll(1000));
        b.again = round % 3 == 0;
        for (int i = 0; i < 4; i++) {
            struct answer a;
            uint8_t slot[SLOT];
            ask(&b, COUNT - b.opens);
            choose(&b);
            OK(steps_run(&s) > b.n * 2);
            OK(settle(&b) >= 0);
            for (unsigned k = 0; k < b.n; k++) {
                EQ(xk_ring_front_take(&b.front, slot, 1), 1);
                memcpy(&a, slot, sizeof(a));
                EQ(a.id, b.answers[k]);
            }
            memmove(b.open, b.open + b.n, (b.opens - b.n) * sizeof(*b.open));
            b.opens -= b.n;
        }
        finished += b.finished;
        shown += b.shown;
    }
    OK(finished > 20 && shown > finished / 2);
}

TEST(a_record_that_makes_no_sense_harms_nobody)
{
    static const uint32_t stages[] = {0, 1, 0x6d766b78, 0x61766b78};
    static struct bench b;
    int taken = 0;

    for (int round = 0; round < 20000; round++) {
        struct xk_ring_back next;
        uint32_t word[RECORD / 4];
        begin(&b, roll(100));
        ask(&b, roll(COUNT + 1));
        memset(b.area + AREA, 0x5a, 8);
        for (unsigned i = 0; i < RECORD / 4; i++)
            word[i] = roll(3) ? roll(20) : (uint32_t)seed;
        word[0] = stages[roll(4)];
        word[1] = b.back.rsp_prod + (roll(4) == 0 ? roll(3) : 0);
        memcpy(b.area + AREA - RECORD, word, sizeof(word));
        EQ(follow(&b, &next), next.rsp_prod != 0);
        if (next.rsp_prod != b.back.rsp_prod) {
            taken++;
            OK(word[2] >= 1 && word[2] <= b.opens && word[3] <= SLOT && word[1] == b.back.rsp_prod);
            OK(word[2] * word[3] <= XK_RING_SETTLE_BYTES);
            OK(word[0] == stages[2] || word[0] == stages[3]);
            EQ(next.rsp_prod, b.back.rsp_prod + word[2]);
        }
        OK(b.opens >= next.rsp_prod - b.back.rsp_prod);
        EQ(next.req_cons, next.rsp_prod);
        memcpy(word, b.area + AREA - RECORD, 4);
        EQ(word[0], 0); /* it is not found a second time */
        for (int i = 0; i < 8; i++)
            EQ(b.area[AREA + i], 0x5a);
    }
    OK(taken > 500);
}

TEST(an_area_without_room_for_it_is_left_alone)
{
    static struct bench b;
    struct xk_ring_back next;
    struct answer a = {7, ~7ull}, got;
    uint8_t slot[SLOT];

    begin(&b, 5);
    for (size_t bytes = 64 + COUNT * SLOT; bytes < AREA; bytes++) {
        EQ(xk_ring_back_take_up(&next, b.area, bytes, SLOT), XK_EINVAL);
    }
    for (size_t i = 64; i < AREA; i++)
        EQ(b.area[i], 0);
    EQ(xk_ring_back_attach(&next, b.area, AREA - 8, SLOT), 0);
    ask(&b, 1);
    EQ(xk_ring_back_take(&next, slot, 1), 1);
    OK(xk_ring_back_settle(&next, &a, sizeof(a), NULL, 1) >= 0);
    EQ(xk_ring_front_take(&b.front, slot, 1), 1);
    memcpy(&got, slot, sizeof(got));
    EQ(got.id, 7);
    EQ(got.not_id, ~7ull);
    for (size_t i = 64 + COUNT * SLOT; i < AREA; i++)
        EQ(b.area[i], 0);
}

TEST(more_than_can_be_shown_at_once_is_refused)
{
    static const uint32_t place[XK_RING_SETTLE + 1];
    static uint8_t area[4096], before[4096], rsps[4096];
    struct xk_ring_front front;
    struct xk_ring_back back;
    uint8_t slot[16] = {0};

    EQ(xk_ring_front_init(&front, area, sizeof(area), sizeof(slot)), 0);
    EQ(xk_ring_back_take_up(&back, area, sizeof(area), sizeof(slot)), 0);
    for (int i = 0; i < 40; i++)
        EQ(xk_ring_front_put(&front, slot, 1), 1);
    OK(xk_ring_front_publish(&front) >= 0);
    for (int i = 0; i < 35; i++)
        EQ(xk_ring_back_take(&back, slot, 1), 1);
    memcpy(before, area, sizeof(area));
    EQ(xk_ring_back_settle(&back, rsps, 4, place, 33), XK_EINVAL);
    EQ(xk_ring_back_settle(&back, rsps, 9, NULL, 29), XK_EINVAL);
    EQ(xk_ring_back_settle(&back, rsps, 17, NULL, 1), XK_EINVAL);
    EQ(xk_ring_back_settle(&back, rsps, 4, NULL, 0), 0);
    MEMEQ(area, before, sizeof(area));
    OK(xk_ring_back_settle(&back, rsps, 8, NULL, 32) >= 0);
    EQ(xk_ring_back_settle(&back, rsps, 8, NULL, 4), XK_EINVAL);
    OK(xk_ring_back_settle(&back, rsps, 8, NULL, 3) >= 0);
    EQ(back.rsp_prod, 35);
}
