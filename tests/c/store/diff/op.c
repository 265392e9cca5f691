/* diff/op.c - operations and traces of them, and their text: a line an operation, `CONNECTION SLOT[+][~CUT] TYPE
 * "PAYLOAD"`, where CONNECTION is s0, s1 (sockets of domain 0) or d1, d2, ... (the ring of a domain), SLOT is 0 or the
 * number of a transaction, + means that the next line is sent at once and ~CUT that the packet comes in two pieces.
 * SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"

static const char *const happenings[] = {"CREATE", "SHUTDOWN", "DYING", "GONE", "OPEN", "CLOSE", "UPDATE", "OVERSIZE"};

void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("Bail out! ", stdout);
    vprintf(fmt, ap);
    putchar('\n');
    va_end(ap);
    exit(2);
}

void *grow(void *p, size_t size)
{
    p = realloc(p, size ? size : 1);
    if (!p)
        die("no memory");
    return p;
}

void bytes_add(struct bytes *b, const void *p, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = (b->n + n) * 2;
        b->p = grow(b->p, b->cap);
    }
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

void bytes_drop(struct bytes *b, size_t n)
{
    b->n -= n;
    if (b->n)
        memmove(b->p, b->p + n, b->n);
}

struct op *trace_add(struct trace *t, unsigned conn, unsigned tx, uint32_t type, const void *payload, size_t len)
{
    struct op *op;

    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->v = grow(t->v, t->cap * sizeof(*t->v));
    }
    op = &t->v[t->n++];
    memset(op, 0, sizeof(*op));
    op->conn = (uint8_t)conn;
    op->tx = (uint8_t)tx;
    op->type = type;
    op->len = (uint16_t)len;
    op->payload = grow(NULL, len + 1);
    if (len)
        memcpy(op->payload, payload, len);
    op->payload[len] = 0;
    return op;
}

void trace_free(struct trace *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->v[i].payload);
    free(t->v);
    memset(t, 0, sizeof(*t));
}

const char *op_string(const struct op *op, unsigned index)
{
    const char *p = op->payload, *end = op->payload + op->len;

    for (;; index--) {
        const char *nul = memchr(p, 0, (size_t)(end - p));
        if (!nul)
            return NULL;
        if (index == 0)
            return p;
        p = nul + 1;
    }
}

bool op_path(const struct op *op, char *out, size_t room)
{
    const char *text = op_string(op, 0);

    if (!text || !*text)
        return false;
    if (*text == '/' || *text == '@')
        snprintf(out, room, "%s", text);
    else
        snprintf(out, room, "/local/domain/%u/%s", domid_of(op->conn), text);
    return true;
}

/* --- text --------------------------------------------------------------------------------------------------------- */

void print_quoted(const void *p, size_t n)
{
    const uint8_t *b = p;

    putchar('"');
    for (size_t i = 0; i < n; i++) {
        size_t same = 1;
        while (i + same < n && b[i + same] == b[i])
            same++;
        if (same > 20) { /* \*COUNT*CHARACTER: long values are of one character */
            printf("\\*%zu*", same);
            i += same - 1;
        }
        if (b[i] == '"' || b[i] == '\\' || !isprint(b[i]))
            printf("\\x%02x", b[i]);
        else
            putchar(b[i]);
    }
    putchar('"');
}

void op_print(const struct op *op)
{
    if (is_ring(op->conn))
        printf("d%u ", domid_of(op->conn));
    else
        printf("s%u ", op->conn);
    printf("%u%s", op->tx, op->more ? "+" : "");
    if (op->cut)
        printf("~%u", op->cut);
    if (op->type >= OP_CREATE)
        printf(" %s ", happenings[op->type - OP_CREATE]);
    else if (xk_store_op_name(op->type))
        printf(" %s ", xk_store_op_name(op->type));
    else
        printf(" #%u ", op->type);
    print_quoted(op->payload, op->len);
    putchar('\n');
}

static uint32_t type_of(const char *word)
{
    for (uint32_t i = 0; i < OP_END - OP_CREATE; i++)
        if (strcmp(word, happenings[i]) == 0)
            return OP_CREATE + i;
    for (uint32_t i = 0; i < XK_STORE_OP_COUNT; i++)
        if (xk_store_op_name(i) && strcmp(word, xk_store_op_name(i)) == 0)
            return i;
    if (word[0] != '#')
        die("no operation '%s'", word);
    return (uint32_t)strtoul(word + 1, NULL, 10);
}

static size_t unquote(const char *p, char *out, size_t room)
{
    size_t n = 0;

    for (; *p && *p != '"'; p++) {
        unsigned c = (uint8_t)*p, count = 1;
        int used;
        if (sscanf(p, "\\*%u*%n", &count, &used) == 1) {
            p += used;
            c = (uint8_t)*p;
        }
        if (*p == '\\' && sscanf(p, "\\x%2x", &c) == 1)
            p += 3;
        while (count-- && n < room)
            out[n++] = (char)c;
    }
    return n;
}

void trace_read(struct trace *t, const char *file)
{
    static char line[32768], payload[XK_STORE_PAYLOAD_MAX];
    FILE *f = fopen(file, "r");

    if (!f)
        die("cannot read %s", file);
    while (fgets(line, sizeof(line), f)) {
        char kind, flags[16] = "", word[32];
        const char *text = strncmp(line, "#> ", 3) == 0 ? line + 3 : line, *quote = strchr(text, '"');
        unsigned number, tx, cut = 0;
        struct op *op;
        if (text[0] == '#' || text[0] == '\n')
            continue;
        if (!quote || sscanf(text, "%c%u %u%15[+~0-9] %31s", &kind, &number, &tx, flags, word) != 5) {
            flags[0] = 0;
            if (!quote || sscanf(text, "%c%u %u %31s", &kind, &number, &tx, word) != 4)
                die("%s: not understood: %s", file, line);
        }
        op = trace_add(t, kind == 'd' ? ring_of(number) : number, tx, type_of(word), payload,
                       unquote(quote + 1, payload, sizeof(payload)));
        if (op->conn >= WATCHER || op->tx > NO_SUCH_TX)
            die("%s: no such connection or slot: %s", file, line);
        op->more = strchr(flags, '+') != NULL;
        if (strchr(flags, '~') && sscanf(strchr(flags, '~'), "~%u", &cut) == 1)
            op->cut = (uint16_t)cut;
    }
    fclose(f);
    if (t->n == 0)
        die("%s: no operation is in it", file);
}
