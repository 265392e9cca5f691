/* Reading what both halves say, and writing what ours says: in one transaction that begins by looking whether our
 * folder is still there, as writing would make it again. SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenkit/err.h>

#include "base/list.h"
#include "xenbus/device.h"

enum { PUTS_MAX = 16384, VALUE_MAX = 4096 };

/* --- reading ------------------------------------------------------------------------------------------------------ */

static void set_text(struct xk_xenbus *d, struct xk__node_value *v, const uint8_t *data, size_t n)
{
    size_t old = v->text ? strlen(v->text) : 0;

    if (v->text && data && old == n && memcmp(v->text, data, n) == 0)
        return;
    if (v >= &d->value[XK__V_FIXED] && v->peers && (v->text || data))
        d->news = 1;
    if (v->text)
        xk_free(&d->alloc, v->text, old + 1);
    v->text = NULL;
    if (!data || n > VALUE_MAX || memchr(data, '\0', n))
        return;
    v->text = xk_new(&d->alloc, n + 1);
    if (v->text)
        memcpy(v->text, data, n);
    else
        d->err = XK_ENOMEM;
}

static void on_value(struct xk_store_call *c, int err, const uint8_t *data, size_t n)
{
    struct xk__node_value *v = (struct xk__node_value *)c;
    struct xk_xenbus *d = v->device;

    d->reading--;
    set_text(d, v, err ? NULL : data, n);
    if (err && err != XK_ENOENT && err != XK_EACCES && d->err == 0)
        d->err = err;
    if (d->reading == 0)
        xk__xenbus_read_done(d);
}

static int start_read(struct xk_xenbus *d, struct xk__node_value *v)
{
    const char *folder = v->peers ? d->peer_path : d->path;
    struct xk_store_piece p[3] = {{folder, strlen(folder)}, {"/", 1}, {v->name, strlen(v->name) + 1}};

    return xk_store_call_start(d->store, &v->call, XK_STORE_READ, 0, p, 3);
}

/* All of ours, or all of the other half's. The other's state stands first: what it says was written before it. */
void xk__xenbus_read(struct xk_xenbus *d)
{
    uint8_t peers = d->phase == XK__READ_PEER;
    int r = 0;

    d->reading = 1;
    for (unsigned i = 0; i < d->values && r == 0; i++)
        if (d->value[i].peers == peers) {
            r = start_read(d, &d->value[i]);
            d->reading += r == 0;
        }
    d->reading--;
    if (r < 0) {
        for (unsigned i = 0; i < d->values && d->reading; i++)
            xk_store_call_cancel(d->store, &d->value[i].call);
        d->reading = 0;
        xk__xenbus_store_failed(d, r);
    }
}

static unsigned add_value(struct xk_xenbus *d, unsigned i, const char *name, int peers)
{
    if (d->value) {
        d->value[i].call.fn = on_value;
        d->value[i].device = d;
        d->value[i].name = name;
        d->value[i].peers = (uint8_t)peers;
    }
    return i + 1;
}

static unsigned add_values(struct xk_xenbus *d)
{
    unsigned n = 0;

    n = add_value(d, n, "state", 0);
    n = add_value(d, n, d->link_name, 0);
    n = add_value(d, n, d->link_id, 0);
    n = add_value(d, n, "online", 0);
    n = add_value(d, n, "state", 1);
    n = add_value(d, n, d->peer_link, 1);
    for (const char *const *s = d->driver->own; s && *s; s++)
        n = add_value(d, n, *s, 0);
    for (const char *const *s = d->driver->wanted; s && *s; s++)
        n = add_value(d, n, *s, 1);
    return n;
}

const char *xk_xenbus_get(const struct xk_xenbus *d, const char *name)
{
    for (unsigned i = XK__V_FIXED; i < d->values; i++)
        if (strcmp(d->value[i].name, name) == 0)
            return d->value[i].text;
    return NULL;
}

uint64_t xk_xenbus_number(const struct xk_xenbus *d, const char *name, uint64_t otherwise)
{
    const char *text = xk_xenbus_get(d, name);
    uint64_t v = 0;

    if (!text || !*text)
        return otherwise;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || v > (UINT64_MAX - 9) / 10)
            return otherwise;
        v = v * 10 + (uint64_t)(*text - '0');
    }
    return v;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

int xk_xenbus_put(struct xk_xenbus *d, const char *name, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    int n;

    if (!d->store)
        return XK_ENOTCONN;
    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0 || n >= (int)sizeof(text))
        return XK_E2BIG;
    n = xk_buf_printf(&d->puts, "%s%c%s%c", name, 0, text, 0);
    return n < 0 ? n : 0;
}

int xk_xenbus_refuse(struct xk_xenbus *d, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(d->why, sizeof(d->why), fmt, ap);
    va_end(ap);
    return err;
}

/* What is under way. */
enum { BEGIN, LOOK, NODE, STATE, END };

/* A request of the transaction: on (name) of our folder, unless that is NULL. */
static int ask(struct xk_xenbus *d, uint32_t type, const char *name, const char *value, size_t n)
{
    struct xk_store_piece p[4] = {
        {d->path, strlen(d->path)}, {"/", 1}, {name, name ? strlen(name) + 1 : 0}, {value, n}};

    return name ? xk_store_call_start(d->store, &d->writer->call, type, d->writer->tx, p, value ? 4 : 3)
                : xk_store_call_start(d->store, &d->writer->call, type, d->writer->tx, p + 3, 1);
}

static int ask_node(struct xk_xenbus *d)
{
    const char *name = (const char *)xk_buf_head(&d->puts) + d->put_at, *value = name + strlen(name) + 1;

    d->put_at += strlen(name) + strlen(value) + 2;
    return ask(d, XK_STORE_WRITE, name, value, strlen(value));
}

static int ask_step(struct xk_xenbus *d)
{
    char digit = (char)('0' + d->next);

    switch (d->writer->step) {
    case BEGIN:
        d->writer->tx = 0;
        d->put_at = 0;
        return ask(d, XK_STORE_TRANSACTION_START, NULL, "", 1);
    case LOOK:
        return ask(d, XK_STORE_READ, "state", NULL, 0);
    case NODE:
        return ask_node(d);
    case STATE:
        return ask(d, XK_STORE_WRITE, "state", &digit, 1);
    default:
        return ask(d, XK_STORE_TRANSACTION_END, NULL, d->write_err ? "F" : "T", 2);
    }
}

static unsigned step_after(const struct xk_xenbus *d)
{
    unsigned step = d->writer->step;

    if (step == BEGIN)
        return LOOK;
    if (step <= NODE && d->put_at < xk_buf_len(&d->puts))
        return NODE;
    return step < STATE && d->next != XK_XENBUS_UNKNOWN ? STATE : END;
}

static void finish(struct xk_xenbus *d, int err)
{
    xk_buf_take(&d->puts, err ? xk_buf_len(&d->puts) : d->put_at); /* what was put meanwhile is for the next time */
    d->dirty |= xk_buf_len(&d->puts) > 0;
    if (err == 0 && d->next != XK_XENBUS_UNKNOWN)
        d->me = d->next;
    xk__xenbus_write_done(d, err);
}

static void go_on(struct xk_xenbus *d, unsigned step)
{
    int r;

    d->writer->step = step;
    d->writer->busy = 1;
    r = ask_step(d);
    if (r == 0)
        return;
    d->writer->busy = 0;
    finish(d, r);
}

static uint32_t transaction_of(const uint8_t *data, size_t n)
{
    char number[16] = "";

    memcpy(number, data, n < sizeof(number) - 1 ? n : sizeof(number) - 1);
    return (uint32_t)strtoul(number, NULL, 10);
}

static void writer_free(struct xk__xenbus_writer *w)
{
    xk_alloc alloc = w->alloc;

    xk_free(&alloc, w, sizeof(*w));
}

/* The device let go of it: what it began is given up. */
static void give_up(struct xk__xenbus_writer *w, int err, const uint8_t *data, size_t n)
{
    const struct xk_store_piece no = {"F", 2};
    int over = w->step == END || (w->step == BEGIN && err);

    if (w->step == BEGIN && !err)
        w->tx = transaction_of(data, n);
    w->step = END;
    if (over || xk_store_call_start(w->store, &w->call, XK_STORE_TRANSACTION_END, w->tx, &no, 1) < 0)
        writer_free(w);
}

static void on_write(struct xk_store_call *c, int err, const uint8_t *data, size_t n)
{
    struct xk__xenbus_writer *w = (struct xk__xenbus_writer *)c;
    struct xk_xenbus *d = w->device;

    w->busy = 0;
    if (!d) {
        give_up(w, err, data, n);
        return;
    }
    if (w->step == END && err == XK_EAGAIN && !d->write_err) { /* somebody else changed what it touches */
        go_on(d, BEGIN);
        return;
    }
    if (w->step == END || (err && w->step == BEGIN)) {
        finish(d, d->write_err ? d->write_err : err);
        return;
    }
    if (w->step == BEGIN)
        w->tx = transaction_of(data, n);
    d->write_err = err;
    go_on(d, err ? END : step_after(d));
}

void xk__xenbus_write(struct xk_xenbus *d, enum xk_xenbus_state state)
{
    d->next = state;
    d->write_err = 0;
    go_on(d, BEGIN);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

int xk__xenbus_nodes_init(struct xk_xenbus *d)
{
    xk_buf_init(&d->puts, &d->alloc, PUTS_MAX);
    d->values = add_values(d);
    d->value = xk_new(&d->alloc, d->values * sizeof(*d->value));
    d->writer = xk_new(&d->alloc, sizeof(*d->writer));
    if (!d->value || !d->writer)
        return XK_ENOMEM;
    add_values(d);
    *d->writer = (struct xk__xenbus_writer){.call.fn = on_write, .alloc = d->alloc, .store = d->store, .device = d};
    return 0;
}

void xk__xenbus_nodes_fini(struct xk_xenbus *d)
{
    for (unsigned i = 0; d->value && i < d->values; i++) {
        xk_store_call_cancel(d->store, &d->value[i].call);
        set_text(d, &d->value[i], NULL, 0);
    }
    if (d->writer && d->writer->busy)
        d->writer->device = NULL;
    else if (d->writer)
        writer_free(d->writer);
    d->writer = NULL;
    xk_free(&d->alloc, d->value, d->values * sizeof(*d->value));
    d->value = NULL;
    d->values = 0;
    xk_buf_fini(&d->puts);
}
