/* The same zone in NSD and here, the same questions to both. Runs only where NSD is installed: as a child, on the
 * loopback, on a port that was free a moment before. What NSD may do otherwise is left out of the comparison: the
 * NS set of the apex in the authority section, addresses beside answers, and the order. SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/c/proto/test_dns_util.h"

static const char zone[] =
    "$TTL 60\n"
    "@ 3600 SOA ns1 host 1 7200 3600 604800 300\n@ NS ns1\n@ NS ns.other.\n@ MX 10 mail\n@ TXT \"a;b\" "
    "\"c\\\"\\\\\\001\"\n"
    "@ CAA 0 issue \"ca.example; x=y\"\n"
    "ns1 A 192.0.2.1\nns1 AAAA 2001:db8::1\nmail 30 A 192.0.2.2\nwww CNAME web\nweb A 192.0.2.3\nweb A 192.0.2.4\n"
    "out CNAME x.other.\ndangling CNAME nothing\nchain1 CNAME chain2\nchain2 CNAME www\nintosub CNAME h.sub\n"
    "_443._tcp.web TLSA 3 1 1 0123456789abcdef\nssh SSHFP 4 2 0aff\nnaptr NAPTR 100 50 \"s\" \"z3950+N2L\" \"\" _x\n"
    "srv SRV 0 5 80 web\nsvc HTTPS 1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1\ngen TYPE731 \\# 6 abcdef012345\n"
    "a.b.ent A 192.0.2.5\n*.wild A 192.0.2.6\n*.wild MX 5 mail\nhost.wild A 192.0.2.7\nx.y.wild TXT y\n"
    "*.cw CNAME web\n*.sw CNAME sw\nsw TXT t\n*.b.deep A 192.0.2.77\n"
    "sub NS ns.sub\nsub NS ns1\nsub NS ns.sub2\nsub DS 1 8 2 "
    "0000000000000000000000000000000000000000000000000000000000000000\nns.sub A 192.0.2.8\nh.sub A 192.0.2.99\n"
    "sub2 NS ns.sub2\nns.sub2 A 192.0.2.10\nns.sub2 AAAA ::2\nlame NS ns.other.\n"
    "dn DNAME dt\nx.dt A 192.0.2.11\n*.dt TXT w\ndw DNAME wild\n"
    "esc\\.aped A 192.0.2.12\nUPPER A 192.0.2.13\nttl0 0 A 192.0.2.14\n";

static const char *const names[] = {"",
                                    "ns1",
                                    "NS1",
                                    "mail",
                                    "www",
                                    "web",
                                    "out",
                                    "dangling",
                                    "chain1",
                                    "intosub",
                                    "_443._tcp.web",
                                    "_tcp.web",
                                    "ssh",
                                    "naptr",
                                    "srv",
                                    "svc",
                                    "gen",
                                    "ent",
                                    "b.ent",
                                    "a.b.ent",
                                    "x.ent",
                                    "z.a.b.ent",
                                    "wild",
                                    "foo.wild",
                                    "foo.bar.wild",
                                    "host.wild",
                                    "z.host.wild",
                                    "y.wild",
                                    "x.y.wild",
                                    "z.y.wild",
                                    "*.wild",
                                    "a.*.wild",
                                    "q.cw",
                                    "*.cw",
                                    "q.sw",
                                    "deep",
                                    "b.deep",
                                    "x.b.deep",
                                    "a.deep",
                                    "sub",
                                    "x.sub",
                                    "ns.sub",
                                    "sub2",
                                    "x.y.sub2",
                                    "lame",
                                    "x.lame",
                                    "dn",
                                    "x.dn",
                                    "q.dn",
                                    "a.b.dn",
                                    "x.dw",
                                    "host.dw",
                                    "esc\\.aped",
                                    "upper",
                                    "ttl0",
                                    "nothing",
                                    "a.b.c.nothing"};
static const char *const types[] = {"A",  "MX",   "TXT",   "CNAME",   "NS",   "SOA",
                                    "DS", "TLSA", "HTTPS", "TYPE731", "AAAA", "DNAME"};

static char dir[] = "/tmp/xk-nsd-XXXXXX";
static pid_t child;

static void put_file(const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "w");
    OK(f);
    fputs(text, f);
    fclose(f);
}

static int udp_socket(struct sockaddr_in *a)
{
    struct timeval tv = {0, 300000};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    OK(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    memset(a, 0, sizeof(*a));
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return fd;
}

static unsigned free_port(void)
{
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    int fd = udp_socket(&a);

    EQ(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    EQ(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static void stop_nsd(void)
{
    static const char *const files[] = {"nsd.conf", "zone", "log", "xfrd.state", "zone.list", "cookie"};
    char path[128];

    if (child > 0) {
        kill(child, SIGTERM);
        waitpid(child, NULL, 0);
    }
    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void start_nsd(unsigned port)
{
    char conf[2048], path[128];

    OK(mkdtemp(dir));
    snprintf(conf, sizeof(conf),
             "server:\n ip-address: 127.0.0.1\n port: %u\n server-count: 1\n username: \"\"\n chroot: \"\"\n"
             " zonesdir: \"%s\"\n pidfile: \"\"\n database: \"\"\n logfile: \"%s/log\"\n xfrdfile: \"%s/xfrd.state\"\n"
             " xfrdir: \"%s\"\n zonelistfile: \"%s/zone.list\"\n rrl-ratelimit: 0\n rrl-whitelist-ratelimit: 0\n"
             "remote-control:\n control-enable: no\nzone:\n name: example\n zonefile: \"%s/zone\"\n",
             port, dir, dir, dir, dir, dir, dir);
    put_file("nsd.conf", conf);
    put_file("zone", zone);
    snprintf(path, sizeof(path), "%s/nsd.conf", dir);
    child = fork();
    OK(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* should this test be killed */
        dup2(null, 1);
        dup2(null, 2);
        execlp("nsd", "nsd", "-d", "-c", path, (char *)NULL);
        execl("/usr/sbin/nsd", "nsd", "-d", "-c", path, (char *)NULL);
        _exit(127);
    }
    atexit(stop_nsd);
}

/* --- what is compared --------------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Sorted lower-case lines, without what servers differ in. */
static void normal(const uint8_t *reply, int n, char *out)
{
    static char text[1 << 16];
    char *line[200], *p;
    int lines = 0, answers, referral;

    strcpy(text, reply_text(reply, (size_t)n));
    for (p = text; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + 32);
    answers = strstr(text, "\nan ") != NULL && !strstr(text, " soa ns1");
    referral = strstr(text, "ns sub") || strstr(text, "ns lame");
    for (p = strtok(text, "\n"); p && lines < 200; p = strtok(NULL, "\n")) {
        if (strncmp(p, "opt", 3) == 0 || (strncmp(p, "ar ", 3) == 0 && !referral))
            continue;
        if (strncmp(p, "ns example. ", 12) == 0 && strstr(p, " ns ") && (answers || !referral))
            continue;
        line[lines++] = p;
    }
    qsort(line + 1, (size_t)lines - 1, sizeof(*line), by_text);
    *out = 0;
    for (int i = 0; i < lines; i++)
        sprintf(out + strlen(out), "%s\n", line[i]);
}

static int exchange(int fd, const struct sockaddr_in *to, const uint8_t *q, int n, uint8_t *reply, size_t max)
{
    for (int i = 0; i < 10; i++) {
        ssize_t r;
        sendto(fd, q, (size_t)n, 0, (const struct sockaddr *)to, sizeof(*to));
        r = recv(fd, reply, max, 0);
        if (r > 12 && reply[0] == q[0] && reply[1] == q[1])
            return (int)r;
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
    return -1;
}

TEST(nsd_says_the_same)
{
    struct xk_dns_server *s = serve("example", zone);
    static char want[1 << 16], got[1 << 16];
    uint8_t q[512], r[4096];
    struct sockaddr_in to;
    int fd = udp_socket(&to), asked = 0, differ = 0;

    if (access("/usr/sbin/nsd", X_OK))
        SKIP("nsd is not installed");
    to.sin_port = htons((uint16_t)free_port());
    start_nsd(ntohs(to.sin_port));
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        for (unsigned k = 0; k < sizeof(types) / sizeof(types[0]); k++) {
            char name[128];
            int n, len;
            sprintf(name, "%s%sexample.", names[i], *names[i] ? "." : "");
            n = xk_dns_query_write(q, sizeof(q), (unsigned)++asked, 0, name,
                                   (unsigned)xk_dns_type_parse(types[k], strlen(types[k])), 1232, 0);
            len = exchange(fd, &to, q, n, r, sizeof(r));
            if (len < 0 && asked == 1)
                SKIP("nsd did not start");
            OK(len > 0);
            normal(r, len, want);
            len = xk_dns_answer(s, q, (size_t)n, r, 1232, XK_DNS_UDP);
            OK(len > 0);
            normal(r, len, got);
            if (strcmp(got, want) && ++differ)
                fprintf(stderr, "# %s %s\nours:\n%snsd:\n%s", name, types[k], got, want);
        }
    OK(asked > 600);
    EQ(differ, 0);
    close(fd);
    xk_dns_server_destroy(s);
}
