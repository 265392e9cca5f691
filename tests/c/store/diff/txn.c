/* diff/txn.c - transactions that are open on both sides.
 *
 * The two servers differ here by design. xenstored reads through to the live store until a node was touched, and a
 * commit fails when anything touched has changed, written or read. Ours sees the store as it was at the start, and a
 * commit fails when what was read has changed; the rest is merged. So two things are checked that a comparison of
 * answers would not: a commit that only one of them accepts is done again on the other, where it must say the same and
 * lead to the same store, which proves that there is a serial order of the two; and so is a commit of ours after the
 * two have seen different states inside. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"

enum { OUTSIDE_MAX = 200 };

static void forget_outside(struct txn *t)
{
    for (size_t i = 0; i < t->noutside; i++)
        free(t->outside[i]);
    free(t->outside);
    t->outside = NULL;
    t->noutside = 0;
}

void txn_forget(struct txn *t)
{
    for (size_t i = 0; i < t->log.n; i++)
        free(t->said[i].p);
    free(t->said);
    trace_free(&t->log);
    forget_outside(t);
    memset(t, 0, sizeof(*t));
}

void txn_started(struct world *w, const struct op *op, const struct reply *ours, const struct reply *theirs)
{
    struct txn *t = &w->conn[op->conn].txn[op->tx];

    t->open = true;
    t->id[OURS] = (uint32_t)strtoul(ours->p, NULL, 10);
    t->id[THEIRS] = (uint32_t)strtoul(theirs->p, NULL, 10);
}

void txn_note(struct world *w, const struct op *op, const struct reply *ours)
{
    struct txn *t = &w->conn[op->conn].txn[op->tx];

    trace_add(&t->log, op->conn, 0, op->type, op->payload, op->len);
    t->said = grow(t->said, t->log.n * sizeof(*t->said));
    reply_copy(&t->said[t->log.n - 1], ours);
}

/* --- what others changed ------------------------------------------------------------------------------------------ */

void txn_outside(struct world *w, const struct txn *except, const char *path)
{
    for (unsigned i = 0; i < CONNS; i++)
        for (unsigned k = 1; k <= SLOTS; k++) {
            struct txn *t = &w->conn[i].txn[k];
            if (!t->open || t == except || t->everything)
                continue;
            if (!path || t->noutside == OUTSIDE_MAX) {
                t->everything = true;
                continue;
            }
            t->outside = grow(t->outside, (t->noutside + 1) * sizeof(*t->outside));
            t->outside[t->noutside] = grow(NULL, strlen(path) + 1);
            strcpy(t->outside[t->noutside++], path);
        }
}

bool path_near(const char *a, const char *b)
{
    size_t n = strlen(a) < strlen(b) ? strlen(a) : strlen(b);

    if (strcmp(a, "/") == 0 || strcmp(b, "/") == 0)
        return true;
    return memcmp(a, b, n) == 0 && (a[n] == 0 || a[n] == '/') && (b[n] == 0 || b[n] == '/');
}

static bool touched(const struct txn *t, const char *path)
{
    for (size_t i = 0; i < t->noutside; i++)
        if (path_near(t->outside[i], path))
            return true;
    return false;
}

bool txn_touched(const struct txn *t, const char *path, bool or_above)
{
    char up[XK_STORE_PACKET_MAX];

    if (t->everything || touched(t, path))
        return true;
    snprintf(up, sizeof(up), "%s", path);
    while (or_above && strrchr(up, '/') > up) {
        *strrchr(up, '/') = 0;
        if (touched(t, up))
            return true;
    }
    return false;
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

static void tell_others(struct world *w, const struct txn *t)
{
    char path[XK_STORE_PACKET_MAX];

    for (size_t i = 0; i < t->log.n; i++) {
        uint32_t type = t->log.v[i].type;
        if ((type == XK_STORE_WRITE || type == XK_STORE_MKDIR || type == XK_STORE_RM || type == XK_STORE_SET_PERMS) &&
            !failed_reply(&t->said[i]) && op_path(&t->log.v[i], path, sizeof(path)))
            txn_outside(w, t, path);
    }
}

static void other_answer(struct world *w, enum side side, const struct op *op, const struct reply *first,
                         const struct reply *again)
{
    char kind[160];

    snprintf(kind, sizeof(kind), "%s done again on %s: first %s, then %s", xk_store_op_name(op->type),
             side == OURS ? "ours" : "theirs", error_of(first), error_of(again));
    world_fail(w, kind, "a commit is not as if it had been done at once");
    if (w->quiet)
        return;
    fputs("#   ", stdout);
    op_print(op);
    show_reply("first", first);
    show_reply("again", again);
}

static bool is_refusal(const struct reply *r)
{
    static const char *const names[] = {"ENOENT", "EACCES", "EPERM", "ENOSPC"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(error_of(r), names[i]) == 0)
            return true;
    return false;
}

/* Nothing was done, for another reason. RM is content with what is not there, if only the directory is. */
static bool same_miss(const struct op *op, const struct reply *a, const struct reply *b)
{
    bool rm = op->type == XK_STORE_RM;

    if ((!is_refusal(a) && !(rm && !failed_reply(a))) || (!is_refusal(b) && !(rm && !failed_reply(b))))
        return false;
    allowed_count("error-kind");
    return true;
}

static void show_log(const struct txn *t)
{
    for (size_t i = 0; i < t->log.n; i++) {
        fputs("# in it: ", stdout);
        op_print(&t->log.v[i]);
        show_reply("ours", &t->said[i]);
    }
    for (size_t i = 0; i < t->noutside; i++)
        printf("# meanwhile: %s\n", t->outside[i]);
    puts("#");
}

/* xenstored 4.17 does not commit a transaction in which a request hit a quota. */
bool txn_enospc_inside(const struct txn *t)
{
    for (size_t i = 0; i < t->log.n; i++)
        if (strcmp(error_of(&t->said[i]), "ENOSPC") == 0)
            return true;
    return false;
}

/* Does on (side) what the other has committed. */
static void do_again(struct world *w, enum side side, unsigned conn, struct txn *t)
{
    struct op start = {.type = XK_STORE_TRANSACTION_START, .len = 1, .payload = (char[]){0, 0}};
    struct op end = {.type = XK_STORE_TRANSACTION_END, .conn = (uint8_t)conn, .len = 2, .payload = (char[]){'T', 0, 0}};
    struct reply r;
    bool apart = false;
    uint32_t id;

    if (!ask(w, side, conn, &start, 0, &r))
        return;
    if (failed_reply(&r))
        world_fail(w, "transaction done again", "it does not start: %s", r.p);
    id = (uint32_t)strtoul(r.p, NULL, 10);
    free(r.p);
    for (size_t i = 0; i < t->log.n && !w->failed && !apart; i++) {
        if (!ask(w, side, conn, &t->log.v[i], id, &r))
            return;
        if (same_reply(&t->log.v[i], &t->said[i], &r)) {
            /* as it is to be */
        } else if (same_miss(&t->log.v[i], &t->said[i], &r)) {
            apart = failed_reply(&t->said[i]) != failed_reply(&r); /* or it was there, and SET_TARGET gave the right */
        } else {
            const struct reply *ours = side == OURS ? &r : &t->said[i], *theirs = side == OURS ? &t->said[i] : &r;
            if (allowed_again(w, &t->log.v[i], t, ours, theirs))
                apart = failed_reply(ours) != failed_reply(theirs) || strcmp(error_of(&r), "ENOSPC") == 0;
            else
                other_answer(w, side, &t->log.v[i], &t->said[i], &r);
        }
        free(r.p);
    }
    if (apart)
        end.payload[0] = 'F';
    if (w->failed || !ask(w, side, conn, &end, id, &r))
        return;
    if (failed_reply(&r) && strcmp(r.p, "ENOMEM") == 0 && txn_enospc_inside(t)) {
        allowed_count("enospc-inside-again");
        apart = true;
    } else if (failed_reply(&r) && side == THEIRS && allowed_again(w, &end, t, &r, &r)) {
        apart = true;
    } else if (failed_reply(&r))
        world_fail(w, "transaction done again", "its end: %s", r.p);
    free(r.p);
    if (!w->failed && apart)
        world_heal(w);
    else if (!w->failed)
        trees_compare(w);
}

/* Entries that were made for a domain before it went, on one side, and after that, on the other: the next domain of
 * that id has the rights on one side only. */
static void drop_entries(struct world *w, const struct txn *t)
{
    char path[XK_STORE_PACKET_MAX];

    for (size_t i = 0; i < t->log.n; i++)
        if (t->log.v[i].type == XK_STORE_SET_PERMS && !failed_reply(&t->said[i]) &&
            op_path(&t->log.v[i], path, sizeof(path)) && path[0] == '/' && path[1])
            rm_both(w, path);
    world_heal(w);
}

void txn_ended(struct world *w, const struct op *op, const struct reply *ours, const struct reply *theirs)
{
    struct txn *t = &w->conn[op->conn].txn[op->tx];
    struct clash c = {w, op, t, ours, theirs, ""};
    bool everything = t->everything; /* healing forgets it */
    enum effect effect;
    char kind[160];

    if (strcmp(error_of(ours), "EINVAL") == 0 && strcmp(error_of(theirs), "EINVAL") == 0)
        return; /* not an end: it stays open */
    if (t->stale) {
        if (op->payload[0] == 'T' && !failed_reply(ours)) {
            do_again(w, THEIRS, op->conn, t); /* then what it has seen must be true again, or still */
            tell_others(w, t);
        }
    } else if (same_reply(op, ours, theirs)) {
        if (!failed_reply(ours) && op->payload[0] == 'T')
            tell_others(w, t);
    } else if (!failed_reply(ours) && strcmp(error_of(theirs), "EAGAIN") == 0 && (t->noutside || t->everything)) {
        if (allowed_count("merge"))
            show_log(t);
        do_again(w, THEIRS, op->conn, t);
        tell_others(w, t);
    } else if (!failed_reply(theirs) && strcmp(error_of(ours), "EAGAIN") == 0 && (t->noutside || t->everything)) {
        if (allowed_count("eagain"))
            show_log(t);
        do_again(w, OURS, op->conn, t);
        if (t->everything)
            drop_entries(w, t);
        tell_others(w, t);
    } else if (allowed_reply(&c, &effect)) {
        txn_forget(t);
        world_heal(w);
        return;
    } else {
        snprintf(kind, sizeof(kind), "end of a transaction: ours %s, theirs %s", error_of(ours), error_of(theirs));
        world_fail(w, kind, "connection %u, slot %u", op->conn, op->tx);
    }
    if (everything && !w->failed)
        write_both(w, "/tool/xenstored", ""); /* see "rights of the dead" in README.md */
    txn_forget(&w->ended);
    w->ended = *t;
    memset(t, 0, sizeof(*t));
}
