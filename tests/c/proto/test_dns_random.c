/* Random zones, random questions, two servers: xenkit's and one written here that is slow, keeps records in a list, and
 * follows RFC 1034 section 4.3.2 word by word, from the apex down. SPDX-License-Identifier: MIT */
#include "tests/c/proto/test_dns_util.h"

enum { RECORDS = 60, STEPS = 16, TEXT = 320 };

static uint64_t state;

static unsigned rnd(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 20) % n;
}

/* --- the slow server ---------------------------------------------------------------------------------------------- */

static struct rec {
    char owner[TEXT], type[8], data[TEXT];
} recs[RECORDS];
static int count;
static char result[1 << 16];

static int under(const char *name, const char *top) /* at or below */
{
    size_t n = strlen(name), t = strlen(top);
    return n >= t && strcmp(name + n - t, top) == 0 && (n == t || name[n - t - 1] == '.');
}

static int exists(const char *name)
{
    for (int i = 0; i < count; i++)
        if (under(recs[i].owner, name))
            return 1;
    return 0;
}

static int has(const char *name, const char *type)
{
    for (int i = 0; i < count; i++)
        if (strcmp(recs[i].owner, name) == 0 && (!type || strcmp(recs[i].type, type) == 0))
            return 1;
    return 0;
}

static const char *parent(const char *name) { return strchr(name, '.') + 1; }

static void say(const char *section, const char *owner, const char *from, const char *type)
{
    for (int i = 0; i < count; i++)
        if (strcmp(recs[i].owner, from) == 0 && strcmp(recs[i].type, type) == 0)
            sprintf(result + strlen(result), "%s %s 60 %s %s\n", section, owner, type, recs[i].data);
}

static void soa(void) { strcat(result, "NS z. 5 SOA s.z. h.z. 1 2 3 4 5\n"); }

/* From the apex down to (name): the first node that is a delegation, or above it a DNAME. */
static const char *barrier(const char *name)
{
    const char *at[STEPS * 8];
    int n = 0;

    for (const char *p = name; strcmp(p, "z."); p = parent(p))
        at[n++] = p;
    if (strcmp(name, "z.") && has("z.", "DNAME"))
        return "z.";
    while (n--) {
        if (has(at[n], "NS"))
            return at[n];
        if (n && has(at[n], "DNAME"))
            return at[n];
    }
    return NULL;
}

/* One step; the next name in (name), or 0. */
static int slow_step(char *name, const char *type, int first, int *aa, const char **rcode)
{
    const char *stop = barrier(name), *node = name;
    char wild[TEXT * 2 + 2];

    if (stop && has(stop, "NS") && strcmp(stop, "z.") && !(strcmp(stop, name) == 0 && strcmp(type, "DS") == 0)) {
        *aa = !first;
        say("NS", stop, stop, "NS");
        return 0;
    }
    if (stop && strcmp(stop, name)) {
        for (int i = 0; i < count; i++)
            if (strcmp(recs[i].owner, stop) == 0 && strcmp(recs[i].type, "DNAME") == 0) {
                char next[TEXT * 2];
                char line[TEXT * 2];
                sprintf(line, "AN %s 60 DNAME %s\n", stop, recs[i].data);
                if (!strstr(result, line))
                    strcat(result, line);
                sprintf(next, "%.*s%s", (int)(strlen(name) - strlen(stop)), name, recs[i].data);
                sprintf(result + strlen(result), "AN %s 60 CNAME %s\n", name, next);
                strcpy(name, next);
                return strcmp(type, "CNAME") != 0;
            }
        abort();
    }
    if (!exists(name)) {
        while (!exists(node))
            node = parent(node);
        sprintf(wild, "*.%s", node);
        if (!exists(wild)) {
            *rcode = "NXDOMAIN";
            soa();
            return 0;
        }
        node = wild;
    }
    if (has(node, type)) {
        say("AN", name, node, type);
        return 0;
    }
    for (int i = 0; i < count; i++)
        if (strcmp(recs[i].owner, node) == 0 && strcmp(recs[i].type, "CNAME") == 0) {
            sprintf(result + strlen(result), "AN %s 60 CNAME %s\n", name, recs[i].data);
            strcpy(name, recs[i].data);
            return 1;
        }
    soa();
    return 0;
}

static const char *slow(const char *question, const char *type)
{
    char seen[STEPS][TEXT], name[TEXT * 2], all[sizeof(result) + 64];
    const char *rcode = "NOERROR";
    int aa = 1, steps = 0;

    result[0] = 0;
    strcpy(name, question);
    for (;;) {
        strcpy(seen[steps], name);
        if (!slow_step(name, type, steps == 0, &aa, &rcode) || ++steps == STEPS || !under(name, "z."))
            break;
        for (int i = 0; i < steps; i++)
            if (strcmp(seen[i], name) == 0)
                goto end;
    }
end:
    sprintf(all, "%s%s\n%s", rcode, aa ? " aa" : "", result);
    strcpy(result, all);
    return result;
}

/* --- random zones ------------------------------------------------------------------------------------------------- */

static void random_name(char *out, unsigned stars)
{
    static const char *const labels[] = {"a", "b", "c", "d"};
    unsigned n = rnd(5);

    *out = 0;
    for (unsigned i = 0; i < n; i++) {
        strcat(out, rnd(10) < stars ? "*" : labels[rnd(4)]);
        strcat(out, ".");
    }
    strcat(out, "z.");
}

static int fits(const struct rec *r)
{
    for (int i = 0; i < count; i++) {
        int same = strcmp(recs[i].type, r->type) == 0;
        if (strcmp(recs[i].owner, r->owner))
            continue;
        if (strcmp(r->type, "CNAME") == 0 || strcmp(recs[i].type, "CNAME") == 0)
            return 0;
        if (same && (strcmp(r->type, "DNAME") == 0 || strcmp(recs[i].data, r->data) == 0))
            return 0;
    }
    return !((strcmp(r->type, "NS") == 0 || strcmp(r->type, "DNAME") == 0) && r->owner[0] == '*') &&
           !(strcmp(r->type, "CNAME") == 0 && strcmp(r->owner, "z.") == 0);
}

static struct xk_dns_server *random_server(void)
{
    static const char *const types[] = {"A", "A", "TXT", "CNAME", "CNAME", "NS", "DNAME", "DS"};
    char text[RECORDS * 3 * TEXT], *p = text;
    int want = 5 + (int)rnd(30);

    count = 2;
    strcpy(recs[0].owner, "z.");
    strcpy(recs[0].type, "SOA");
    strcpy(recs[0].data, "s.z. h.z. 1 2 3 4 5");
    strcpy(recs[1].owner, "z.");
    strcpy(recs[1].type, "NS");
    strcpy(recs[1].data, "ns.other.");
    while (count < want) {
        struct rec *r = &recs[count];
        strcpy(r->type, types[rnd(8)]);
        random_name(r->owner, 2);
        if (strcmp(r->type, "A") == 0)
            sprintf(r->data, "10.0.0.%u", rnd(3));
        else if (strcmp(r->type, "TXT") == 0)
            sprintf(r->data, "\"%u\"", rnd(3));
        else if (strcmp(r->type, "DS") == 0)
            sprintf(r->data, "%u 1 1 00", rnd(3));
        else if (strcmp(r->type, "NS") == 0)
            sprintf(r->data, "n%u.other.", rnd(3));
        else if (rnd(8) == 0)
            strcpy(r->data, "x.other.");
        else
            random_name(r->data, 1);
        count += fits(r);
    }
    p += sprintf(p, "$TTL 60\n");
    for (int i = 0; i < count; i++)
        p += sprintf(p, "%s %s %s\n", recs[i].owner, recs[i].type, recs[i].data);
    return serve("z.", text);
}

TEST(agrees_with_the_slow_one)
{
    static const char *const types[] = {"A", "TXT", "CNAME", "NS", "DNAME", "DS", "AAAA", "SOA"};
    unsigned kinds[4] = {0};

    state = 88172645463325252u;
    for (int zones = 0, all = tap_rounds(400); zones < all; zones++) {
        struct xk_dns_server *s = random_server();
        for (int i = 0; i < 200; i++) {
            char name[TEXT], want[sizeof(result)];
            const char *type = types[rnd(8)], *got;
            random_name(name, 1);
            strcpy(want, slow(name, type));
            got = ask(s, name, type);
            kinds[0] += strncmp(got, "NXDOMAIN", 8) == 0;
            kinds[1] += strstr(got, "AN ") != NULL;
            kinds[2] += strstr(got, "CNAME") != NULL;
            kinds[3] += strstr(got, "aa") == NULL;
            if (strcmp(got, want)) {
                for (int k = 0; k < count; k++)
                    fprintf(stderr, "# %s %s %s\n", recs[k].owner, recs[k].type, recs[k].data);
                TAP_FAIL("%s %s gave\n%swanted\n%s", name, type, got, want);
            }
        }
        xk_dns_server_destroy(s);
    }
    for (int i = 0; i < 4; i++) /* the random zones must not be dull */
        OK(kinds[i] > (unsigned)tap_rounds(2000));
}
