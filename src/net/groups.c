/* Multicast: who of this stack listens to which group, and when routers and switches are told (RFC 2236 3, RFC 3810
 * 6). SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet6.h"

enum { REPORTS = 2 /* a report that is lost is not missed for long: Robustness Variable */ };
static const xk_time UNSOLICITED4 = 10 * XK_SECOND, UNSOLICITED6 = XK_SECOND;

static int is_of(const struct member *m, struct xk_ip group, const struct xk_udp *u)
{
    return m->count && m->socket == u && xk_ip_equal(m->group, group);
}

static struct member *find(struct xk_inet *s, struct xk_ip group, const struct xk_udp *u)
{
    for (struct member *m = s->member; m < s->member + INET_GROUPS; m++)
        if (is_of(m, group, u))
            return m;
    return NULL;
}

int group_has(const struct xk_inet *s, struct xk_ip group)
{
    for (const struct member *m = s->member; m < s->member + INET_GROUPS; m++)
        if (m->count && xk_ip_equal(m->group, group))
            return 1;
    return 0;
}

int group_member(const struct xk_inet *s, struct xk_ip group, const struct xk_udp *u)
{
    for (const struct member *m = s->member; m < s->member + INET_GROUPS; m++)
        if (is_of(m, group, u))
            return 1;
    return 0;
}

int group_is_all(struct xk_ip group)
{
    return xk_ip_is4(group) ? xk_ip_to4(group) == 0xe0000001 : xk_ip_equal(group, IP6_ALL_NODES);
}

/* Nobody is told of all hosts' own group, nor of one that does not leave this host. */
static int is_told(struct xk_ip group) { return !group_is_all(group) && (xk_ip_is4(group) || (group.b[1] & 15) > 1); }

static void say(struct xk_inet *s, struct xk_ip group, enum group_word word)
{
    if (!s->dev->info.up || !is_told(group))
        return;
    if (!xk_ip_is4(group))
        mld_say(s, group, word);
    else if (s->address)
        igmp_say(s, xk_ip_to4(group), word == GROUP_LEFT);
}

static void schedule(struct xk_inet *s)
{
    xk_time next = XK_FOREVER;

    for (struct member *m = s->member; m < s->member + INET_GROUPS; m++)
        if (m->count && m->reports && m->at < next)
            next = m->at;
    if (next == XK_FOREVER)
        xk_timer_stop(s->loop, &s->reports);
    else
        xk_timer_start(s->loop, &s->reports, next);
}

static void report(struct xk_inet *s, struct member *m, unsigned times, xk_time within)
{
    m->reports = times;
    m->at = s->now + inet_some(s, within);
    schedule(s);
}

void group_timer(struct xk_timer *t)
{
    struct xk_inet *s = XK_CONTAINER(t, struct xk_inet, reports);

    s->now = xk_now(xk_loop_platform(s->loop));
    for (struct member *m = s->member; m < s->member + INET_GROUPS; m++) {
        if (!m->count || !m->reports || m->at > s->now)
            continue;
        say(s, m->group, m->reports > 1 ? GROUP_JOINED : GROUP_IS);
        m->reports--;
        m->at = s->now + inet_some(s, xk_ip_is4(m->group) ? UNSOLICITED4 : UNSOLICITED6);
    }
    schedule(s);
}

int group_join(struct xk_inet *s, struct xk_ip group, struct xk_udp *u)
{
    struct member *m = find(s, group, u);
    int known = group_has(s, group);

    if (m) {
        m->count++;
        return 0;
    }
    for (m = s->member; m < s->member + INET_GROUPS && m->count; m++)
        ;
    if (m == s->member + INET_GROUPS) {
        s->stats.no_room++;
        return XK_EMFILE;
    }
    *m = (struct member){.group = group, .socket = u, .count = 1};
    s->now = xk_now(xk_loop_platform(s->loop));
    if (!known)
        report(s, m, REPORTS, 0);
    return 0;
}

void group_leave(struct xk_inet *s, struct xk_ip group, struct xk_udp *u)
{
    struct member *m = find(s, group, u);

    if (!m || --m->count)
        return;
    if (!group_has(s, group))
        say(s, group, GROUP_LEFT);
    schedule(s);
}

void group_leave_all(struct xk_inet *s, struct xk_udp *u)
{
    for (struct member *m = s->member; m < s->member + INET_GROUPS; m++)
        if (m->count && (!u || m->socket == u)) {
            m->count = 1;
            group_leave(s, m->group, m->socket);
        }
}

/* One membership of each group answers, at a time of its own. */
void group_asked(struct xk_inet *s, struct xk_ip group, int four, xk_time within)
{
    for (struct member *m = s->member; m < s->member + INET_GROUPS; m++) {
        const struct member *first = s->member;
        if (!m->count || xk_ip_is4(m->group) != four || !(xk_ip_is_none(group) || xk_ip_equal(group, m->group)))
            continue;
        while (!first->count || !xk_ip_equal(first->group, m->group))
            first++;
        if (first == m && (m->reports == 0 || m->at > s->now + within))
            report(s, m, m->reports ? m->reports : 1, within);
    }
}

void group_up(struct xk_inet *s)
{
    for (struct member *m = s->member; m < s->member + INET_GROUPS; m++)
        if (m->count)
            report(s, m, REPORTS, 0);
}

/* --- sockets ------------------------------------------------------------------------------------------------------ */

int xk_udp_join(struct xk_udp *u, struct xk_ip group)
{
    if (!u->s)
        return XK_EGONE;
    if (!xk_ip_is_group(group))
        return XK_EINVAL;
    return group_member(u->s, group, u) ? XK_EEXIST : group_join(u->s, group, u);
}

int xk_udp_leave(struct xk_udp *u, struct xk_ip group)
{
    if (!u->s || !group_member(u->s, group, u))
        return XK_ENOENT;
    group_leave(u->s, group, u);
    return 0;
}
