/* diff/main.c - the differential test of the store server as a program; --help tells how to use it.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "diff.h"

struct options {
    struct setup setup;
    uint64_t seed;
    unsigned seconds, steps, reduce;
    bool all, quotas_given, small;
    const char *replay;
};

struct total {
    uint64_t rounds, done, skipped, failures;
    char seen[64][256];
    unsigned nseen;
};

static const char help[] =
    "store_diff - our xenstore server and xenstored 4.17 do the same random operations and must say the same\n"
    "\n"
    "  --xenstored FILE   the C xenstored of Xen 4.17\n"
    "  --libraries DIR    where its libraries are\n"
    "  --shim FILE        the preload library (next to this program)\n"
    "  --seed N           of the first round (1); the next has N + 1, and so on\n"
    "  --seconds N        how long (25); 0: one round\n"
    "  --steps N          operations a round (1500)\n"
    "  --all              go on after a failure; tells each kind of failure once\n"
    "  --reduce N         seconds for cutting down a trace that fails (60)\n"
    "  --replay FILE      do what FILE says: a trace as it is printed, with or without its \"#> \"\n"
    "  --small, --large   the quotas of a replay (--large); rounds with an odd seed have the small ones\n"
    "  --allowed          list the allowed differences, with reasons\n"
    "  --show NAME        print each use of this allowed difference\n";

/* --- options ------------------------------------------------------------------------------------------------------ */

static const char *beside_us(void)
{
    static char path[1024];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
    char *slash;

    if (n < 0)
        die("no /proc");
    path[n] = 0;
    slash = strrchr(path, '/');
    strcpy(slash + 1, "store_diff_shim.so");
    return path;
}

static bool flag(struct options *o, const char *arg)
{
    if (strcmp(arg, "--help") == 0) {
        fputs(help, stdout);
        exit(0);
    }
    if (strcmp(arg, "--allowed") == 0) {
        allowed_print(true);
        exit(0);
    }
    if (strcmp(arg, "--small") == 0 || strcmp(arg, "--large") == 0) {
        o->small = arg[2] == 's';
        return true;
    }
    if (strcmp(arg, "--all") != 0)
        return false;
    o->all = true;
    return true;
}

static void parse(struct options *o, int argc, char **argv)
{
    memset(o, 0, sizeof(*o));
    o->seed = 1;
    o->seconds = 25;
    o->steps = 1500;
    o->reduce = 60;
    o->setup.shim = beside_us();
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value;
        if (flag(o, name))
            continue;
        if (++i == argc)
            die("%s wants a value, or is unknown; --help tells more", name);
        value = argv[i];
        if (strcmp(name, "--xenstored") == 0)
            o->setup.xenstored = value;
        else if (strcmp(name, "--libraries") == 0)
            o->setup.libraries = value;
        else if (strcmp(name, "--shim") == 0)
            o->setup.shim = value;
        else if (strcmp(name, "--seed") == 0)
            o->seed = strtoull(value, NULL, 10);
        else if (strcmp(name, "--seconds") == 0)
            o->seconds = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "--steps") == 0)
            o->steps = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "--reduce") == 0)
            o->reduce = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "--show") == 0)
            allowed_show(value);
        else if (strcmp(name, "--replay") == 0)
            o->replay = value;
        else
            die("unknown option %s; --help tells more", name);
    }
}

/* --- rounds ------------------------------------------------------------------------------------------------------- */

static bool known(struct total *t, const char *failure)
{
    for (unsigned i = 0; i < t->nseen; i++)
        if (strcmp(t->seen[i], failure) == 0)
            return true;
    if (t->nseen < 64)
        strcpy(t->seen[t->nseen++], failure);
    return false;
}

static void run(struct world *w, const struct trace *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (!world_step(w, &t->v[i], i + 1 == t->n || i % 100 == 99))
            break;
}

/* Shows what it takes, with the answers. */
static void explain(const struct options *o, struct trace *t, const char *failure, bool small)
{
    struct world w;

    reduce(t, &o->setup, failure, o->reduce);
    printf("# it takes these %zu (--replay FILE --%s):\n", t->n, small ? "small" : "large");
    for (size_t i = 0; i < t->n; i++) {
        fputs("#> ", stdout);
        op_print(&t->v[i]);
    }
    world_start(&w, &o->setup);
    run(&w, t);
    world_stop(&w);
    fflush(stdout);
}

static bool round_of(struct options *o, struct total *total, uint64_t seed)
{
    bool small = seed & 1, ok = true;
    struct generator g;
    struct trace t = {NULL, 0, 0};
    struct world w;

    setup_quotas(&o->setup, small);
    world_start(&w, &o->setup);
    w.quiet = true;
    generate_start(&g, seed, &o->setup);
    for (unsigned i = 0; i < o->steps && ok; i++) {
        const struct op *op = generate(&g);
        struct op *copy = trace_add(&t, op->conn, op->tx, op->type, op->payload, op->len);
        copy->more = op->more;
        copy->cut = op->cut;
        ok = world_step(&w, copy, i + 1 == o->steps || i % 100 == 99);
    }
    total->rounds++;
    total->done += w.done;
    total->skipped += w.skipped;
    world_stop(&w);
    generate_end(&g);
    if (!ok) {
        total->failures++;
        if (!known(total, w.failure)) {
            printf("# seed %llu: step %zu: %s\n", (unsigned long long)seed, w.step, w.failure);
            explain(o, &t, w.failure, small);
        }
    }
    trace_free(&t);
    return ok;
}

static int replay(struct options *o)
{
    struct trace t = {NULL, 0, 0};
    struct world w;

    trace_read(&t, o->replay);
    setup_quotas(&o->setup, o->small);
    world_start(&w, &o->setup);
    run(&w, &t);
    printf("%sok 1 - %s\n1..1\n", w.failed ? "not " : "", o->replay);
    world_stop(&w);
    trace_free(&t);
    return w.failed;
}

int main(int argc, char **argv)
{
    struct options o;
    struct total total = {0};
    time_t begin = time(NULL);
    bool ok = true;

    parse(&o, argc, argv);
    if (!o.setup.xenstored || access(o.setup.xenstored, X_OK) != 0 || access(o.setup.shim, R_OK) != 0) {
        printf("# skip: %s\n", o.setup.xenstored ? "xenstored or the preload library is missing" : "no --xenstored");
        return 77;
    }
    if (o.replay)
        return replay(&o);
    for (uint64_t seed = o.seed; ok || o.all; seed++) {
        ok = round_of(&o, &total, seed);
        if (time(NULL) - begin >= (time_t)o.seconds)
            break;
    }
    allowed_print(false);
    printf("# %llu rounds, %llu operations (%llu more were left out), %llu a second\n",
           (unsigned long long)total.rounds, (unsigned long long)total.done, (unsigned long long)total.skipped,
           (unsigned long long)(total.done / (uint64_t)(time(NULL) - begin + 1)));
    printf("%sok 1 - ours and xenstored answer alike\n1..1\n", total.failures ? "not " : "");
    return total.failures > 0;
}
