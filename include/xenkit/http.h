/* xenkit/http.h - HTTP/1.1 (RFC 9110, RFC 9112) without input or output: bytes in, bytes out.
 *
 * xk_http_conn reads messages: bytes are fed as they come, requests (or, at a client, responses) come out one by one,
 * pipelined ones in order. Every head passes a strict gate of ours and then http-parser; a message on whose framing the
 * two disagree is refused. A refusal names the line and the reason, is answered once with conn->status, and ends the
 * connection. xk_http_writer composes heads and bodies into a struct xk_buf.
 *
 * Memory: a connection owns one buffer, bounded by its limits, that is reused from request to request. When nothing is
 * buffered at most XK_HTTP_KEEP bytes of it stay; xk_http_conn_trim frees those too. Slices of a message (struct
 * xk_http_str in struct xk_http_msg) stay valid, whatever is fed meanwhile, until xk_http_conn_done; a piece of a body
 * stays valid until the next call with that connection.
 *
 * Nothing blocks; a connection is for one thread at a time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_HTTP_H
#define XENKIT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xenkit/alloc.h>
#include <xenkit/buf.h>
#include <xenkit/err.h>

XK_API_BEGIN

/* Bytes inside somebody else's memory, without a NUL. */
struct xk_http_str {
    const char *p;
    size_t n;
};

/* --- words ------------------------------------------------------------------------------------------------------ */

/* X(name). Methods are case-sensitive; any other token is answered 501 (RFC 9110 section 9.1). */
#define XK_HTTP_METHOD_MAP(X) \
    X(GET)                    \
    X(HEAD)                   \
    X(POST)                   \
    X(PUT)                    \
    X(DELETE)                 \
    X(CONNECT)                \
    X(OPTIONS)                \
    X(TRACE)                  \
    X(PATCH)                  \
    X(PROPFIND)               \
    X(PROPPATCH)              \
    X(MKCOL)                  \
    X(COPY)                   \
    X(MOVE)                   \
    X(LOCK)                   \
    X(UNLOCK)

enum xk_http_method {
#define XK_HTTP_METHOD_ENUM(name) XK_HTTP_##name,
    XK_HTTP_METHOD_MAP(XK_HTTP_METHOD_ENUM)
#undef XK_HTTP_METHOD_ENUM
        XK_HTTP_METHODS
};

/* Why a message is refused. X(name, status, text) */
#define XK_HTTP_REFUSAL_MAP(X)                                 \
    X(REQUEST_LINE, 400, "the first line is malformed")        \
    X(METHOD, 501, "unknown method")                           \
    X(TARGET, 400, "bad request target")                       \
    X(TARGET_SIZE, 414, "the request line is too long")        \
    X(VERSION, 505, "HTTP version not supported")              \
    X(BARE_LF, 400, "a line ends with LF alone")               \
    X(BARE_CR, 400, "CR without LF")                           \
    X(OBS_FOLD, 400, "folded header line")                     \
    X(NAME, 400, "bad field name")                             \
    X(COLON_SPACE, 400, "space before the colon")              \
    X(VALUE, 400, "control byte in a field value")             \
    X(HEAD_SIZE, 431, "the header block is too long")          \
    X(HEAD_COUNT, 431, "too many header fields")               \
    X(HOST, 400, "missing, double or bad Host")                \
    X(LENGTH, 400, "bad Content-Length")                       \
    X(CODING, 400, "bad Transfer-Encoding")                    \
    X(CODING_UNKNOWN, 501, "transfer coding not implemented")  \
    X(FRAMING, 400, "Content-Length beside Transfer-Encoding") \
    X(EXPECT, 417, "unknown expectation")                      \
    X(BODY_SIZE, 413, "the body is too long")                  \
    X(CHUNK, 400, "malformed chunk")                           \
    X(SECOND, 400, "http-parser reads the message differently")

enum xk_http_refusal {
    XK_HTTP_ACCEPTED,
#define XK_HTTP_REFUSAL_ENUM(name, status, text) XK_HTTP_BAD_##name,
    XK_HTTP_REFUSAL_MAP(XK_HTTP_REFUSAL_ENUM)
#undef XK_HTTP_REFUSAL_ENUM
        XK_HTTP_REFUSALS
};

/* xk_http_method_name: "GET"; "" outside the list. xk_http_reason: "Not Found" for 404; "" for an unknown status.
 * xk_http_refusal_text: the text above, for counters. All static. */
const char *xk_http_method_name(enum xk_http_method m);
const char *xk_http_reason(unsigned status);
const char *xk_http_refusal_text(enum xk_http_refusal why);

/* --- reading messages ------------------------------------------------------------------------------------------- */

struct xk_http_limits {
    uint32_t line;      /* request line with its CRLF; beyond: 414 */
    uint32_t head;      /* header block, from the second line on, with the empty line; beyond: 431 */
    uint32_t fields;    /* header fields; beyond: 431 */
    uint64_t body;      /* decoded body; beyond: 413 */
    uint32_t chunk_ext; /* chunk extensions and trailers, all of one message together; beyond: 400 */
    uint32_t drain;     /* an unread body of at most so many bytes is read over to keep a connection alive */
};

/* 8 KiB, 32 KiB, 100 fields, 16 MiB, 16 KiB, 256 KiB. (line) + (head) must stay below 64 KiB; conn_init clips it. */
extern const struct xk_http_limits xk_http_limits_default;

/* Counters; one struct may serve many connections of a thread. */
struct xk_http_stats {
    uint64_t messages;                  /* whole heads accepted */
    uint64_t refused[XK_HTTP_REFUSALS]; /* by enum xk_http_refusal */
    uint64_t bytes_in;
    uint64_t bytes_out; /* the caller's: xk_http_conn_sent */
};

enum { XK_HTTP_KEEP = 512, XK_HTTP_FIRST_FIELDS = 16 };

/* Where a field stands, from the first byte of the head. */
struct xk_http_field {
    uint16_t name_off, name_len, value_off, value_len;
};

enum xk_http_form { XK_HTTP_ORIGIN, XK_HTTP_ABSOLUTE, XK_HTTP_AUTHORITY, XK_HTTP_ASTERISK }; /* RFC 9112 section 3.2 */

enum xk_http_framing {
    XK_HTTP_NO_BODY,
    XK_HTTP_LENGTH,
    XK_HTTP_CHUNKED,
    XK_HTTP_TO_CLOSE, /* responses only */
};

/* A message head. */
struct xk_http_msg {
    struct xk_http_str target; /* as it came */
    struct xk_http_str path;   /* decoded once, dot segments and double slashes removed; begins with "/", or "*", or is
                                * empty for CONNECT. Holds no control byte, no backslash and no "." or ".." segment */
    struct xk_http_str query;  /* undecoded, without "?" */
    struct xk_http_str host;   /* with its port: of the target when that has one, else of Host (section 3.2.2) */
    uint64_t length;           /* of the body where framing is XK_HTTP_LENGTH, else 0 */
    const char *head;          /* for xk_http_msg_at */
    const struct xk_http_field *fields;
    uint16_t field_count;
    uint16_t status; /* responses; 0 in a request */
    uint8_t method;  /* enum xk_http_method; requests */
    uint8_t form;    /* enum xk_http_form */
    uint8_t minor;   /* 0 or 1: HTTP/1.0 or HTTP/1.1 */
    uint8_t framing; /* enum xk_http_framing */
    bool has_query;
    bool keep_alive;      /* what the sender wants (section 9.3) */
    bool expect_continue; /* it waits for 100 (Continue) before it sends the body */
};

/* Private to the gate: what is known of the head that is coming in. Offsets count from its first byte. */
struct xk_http_gate {
    uint64_t length;
    uint32_t line, scanned, head;
    uint16_t lines, fields, status, te_line;
    struct xk_http_field target, host;
    uint8_t method, minor, reason, codings;
    bool client, complete, has_length, has_host, chunked, close, keep_alive, expect_continue;
};

/* Private to the body reader. */
struct xk_http_body {
    uint64_t left;  /* of the body, or of this chunk */
    uint64_t total; /* decoded so far */
    uint32_t extra, scanned;
    uint8_t kind, step;
};

/* The members are private but for the two that are named. */
struct xk_http_conn {
    uint16_t status; /* to read: the status to answer with, once refused */
    uint8_t reason;  /* to read: enum xk_http_refusal */
    uint8_t state;
    bool client, head_only, skipped, asked, eof, last;
    uint32_t cap, head, pos, wr, held_cap, path_cap, fields_cap, drained;
    xk_alloc alloc;
    struct xk_http_limits limits;
    struct xk_http_stats *stats;
    uint8_t *data, *held;
    char *path;
    struct xk_http_field *fields;
    struct xk_http_gate gate;
    struct xk_http_body body;
    struct xk_http_msg msg;
    struct xk_http_field first[XK_HTTP_FIRST_FIELDS];
};

/* xk_http_conn_init (c, alloc, limits, stats) - the reader of a server's connection. NULL limits are the default ones;
 * (limits) are copied; (stats) may be NULL, else it must outlive (c). Allocates nothing, cannot fail.
 * xk_http_conn_init_client - the reader of a client's connection: messages are responses.
 * xk_http_conn_fini frees everything; (c) is then as after init. (c) must not be moved between the two. */
void xk_http_conn_init(struct xk_http_conn *c, const xk_alloc *alloc, const struct xk_http_limits *limits,
                       struct xk_http_stats *stats);
void xk_http_conn_init_client(struct xk_http_conn *c, const xk_alloc *alloc, const struct xk_http_limits *limits,
                              struct xk_http_stats *stats);
void xk_http_conn_fini(struct xk_http_conn *c);

/* xk_http_conn_space (c, want, p) - a place to read into: gives its size, at least 1 and perhaps less than (want) >= 1.
 * XK_EAGAIN when the bound is reached (take messages and bodies first), XK_ENOMEM, XK_ECLOSED when no more is read.
 * xk_http_conn_wrote says how much of it was filled. */
XK_MUSTCHECK int xk_http_conn_space(struct xk_http_conn *c, size_t want, uint8_t **p);
void xk_http_conn_wrote(struct xk_http_conn *c, size_t n);

/* xk_http_conn_feed (c, data, n) - both in one, with a copy: gives how many of the (n) bytes were taken; errors as
 * above. */
XK_MUSTCHECK int xk_http_conn_feed(struct xk_http_conn *c, const void *data, size_t n);

/* xk_http_conn_next (c, msg, d) - the next message: 1 and (msg) when its head is complete. XK_EAGAIN: feed more.
 * XK_EBUSY: the last one was not ended with xk_http_conn_done. XK_ECLOSED: the last one was the last. XK_EPROTO:
 * refused; (d), which may be NULL, says why, c->status is the answer; says so again at every further call. XK_ENOMEM:
 * nothing is lost, it may be tried again. */
XK_MUSTCHECK int xk_http_conn_next(struct xk_http_conn *c, const struct xk_http_msg **msg, struct xk_diag *d);

/* xk_http_conn_body (c, piece, d) - the next bytes of the body: 1 and a piece of at least one byte, 0 when the body has
 * ended, XK_EAGAIN, XK_EPROTO as above. XK_ENOENT without a message.
 * xk_http_conn_collect (c, to, d) - moves all of it to (to): 0 when it is complete, XK_EAGAIN, XK_EPROTO, XK_ENOMEM. A
 * body that outgrows (to)'s bound is refused with 413. */
XK_MUSTCHECK int xk_http_conn_body(struct xk_http_conn *c, struct xk_http_str *piece, struct xk_diag *d);
XK_MUSTCHECK int xk_http_conn_collect(struct xk_http_conn *c, struct xk_buf *to, struct xk_diag *d);

/* xk_http_conn_continue (c, out) - appends the interim response 100 (Continue) if the message at hand waits for one and
 * none of its body has come (RFC 9110 section 10.1.1); otherwise appends nothing. */
XK_MUSTCHECK int xk_http_conn_continue(struct xk_http_conn *c, struct xk_buf *out);

/* xk_http_conn_keep_alive (c) - whether the connection can go on after the message at hand: its sender wants it, and
 * what is unread of its body is small enough and will come. Ask before the answer is composed. */
bool xk_http_conn_keep_alive(const struct xk_http_conn *c);

/* xk_http_conn_last (c) - this message is the last, whatever its sender wants: the answer said so. */
void xk_http_conn_last(struct xk_http_conn *c);

/* xk_http_conn_done (c) - ends the message at hand; its slices are gone. An unread body is read over, or the connection
 * is closed to further messages (xk_http_conn_next says XK_ECLOSED). Nothing without a message. */
void xk_http_conn_done(struct xk_http_conn *c);

/* xk_http_conn_eof (c, d) - the peer sends no more. 0 at the end of a message (a body that lasts to the end of the
 * connection is complete now); XK_ECONNRESET in the middle of one. What was fed before can still be taken. */
int xk_http_conn_eof(struct xk_http_conn *c, struct xk_diag *d);

/* xk_http_conn_idle: no byte of a next message is here. xk_http_conn_trim frees all memory of an idle connection.
 * xk_http_conn_rest (c): what came after the message at hand, for a protocol that takes over (CONNECT, Upgrade).
 * xk_http_conn_expect (c, head_only): the next response answers a HEAD request and has no body; client only.
 * xk_http_conn_sent (c, n): counts. */
bool xk_http_conn_idle(const struct xk_http_conn *c);
void xk_http_conn_trim(struct xk_http_conn *c);
struct xk_http_str xk_http_conn_rest(const struct xk_http_conn *c);
void xk_http_conn_expect(struct xk_http_conn *c, bool head_only);
void xk_http_conn_sent(struct xk_http_conn *c, size_t n);

/* xk_http_msg_at (m, i, name, value) - field (i) in the order of arrival; (name) may be NULL. XK_ENOENT past the end.
 * xk_http_msg_find (m, name, value, from) - the first field of that name, in any case, at or after index (from): gives
 * its index, or XK_ENOENT. */
int xk_http_msg_at(const struct xk_http_msg *m, unsigned i, struct xk_http_str *name, struct xk_http_str *value);
int xk_http_msg_find(const struct xk_http_msg *m, const char *name, unsigned from, struct xk_http_str *value);

/* xk_http_path (dst, s, n) - the path of a request as struct xk_http_msg has it; (dst) has room for (n) bytes and may
 * be (s). Percent escapes are decoded once, then double slashes and dot segments go, so that what is looked up, and
 * what an access rule sees, is the same text; ".." at the root stays there. Gives the length, or XK_EINVAL: no leading
 * slash, a broken escape, a control byte (also %00, %0a) or a backslash (also %5c). */
XK_MUSTCHECK int xk_http_path(char *dst, const char *s, size_t n);

/* --- composing messages ----------------------------------------------------------------------------------------- */

/* What a response is to be. xk_http_answer fills it from the message at hand (NULL: an error before there was one). */
struct xk_http_answer {
    unsigned status;
    enum xk_http_framing framing; /* XK_HTTP_NO_BODY: Content-Length: 0 where one is due */
    uint64_t length;
    struct xk_http_str date; /* an IMF-fixdate that the caller keeps fresh; none when empty */
    bool keep_alive;
    bool head_only; /* HEAD: the head as for GET, no body */
    uint8_t minor;  /* the request's: HTTP/1.0 knows no chunks and needs a word to keep alive */
};
struct xk_http_answer xk_http_answer(const struct xk_http_conn *c, unsigned status);

/* The state of one message being composed; the caller's storage. After the first error all further calls do nothing and
 * give that error, and xk_http_end takes back what of the head was written. */
struct xk_http_writer {
    struct xk_buf *out;
    size_t start; /* from out->rd, so that a slide does not matter */
    uint64_t left;
    int err;
    uint8_t framing;
    bool keep_alive; /* to read: whether the connection goes on after this message */
    bool bodiless, upgrade, has_date;
};

/* xk_http_begin (w, out, a) - the status line, Date, the framing and Connection fields that (a) calls for. 1xx and 204
 * and 304 get no framing field and no body (RFC 9110 section 8.6). Chunks for HTTP/1.0 become a body that ends with the
 * connection. XK_EINVAL for a status outside 100 .. 999.
 * xk_http_begin_request (w, out, method, target, host, framing, length) - the request line and Host.
 * xk_http_put (w, name, value, n) - one field. XK_EINVAL: not a token, or CR, LF, NUL or another control byte in the
 * value, or a field that begin writes (Content-Length, Transfer-Encoding, Connection; not for 101).
 * xk_http_end (w) - the empty line. 0, or the first error; then (out) is as before begin. */
int xk_http_begin(struct xk_http_writer *w, struct xk_buf *out, const struct xk_http_answer *a);
int xk_http_begin_request(struct xk_http_writer *w, struct xk_buf *out, enum xk_http_method method, const char *target,
                          const char *host, enum xk_http_framing framing, uint64_t length);
int xk_http_put(struct xk_http_writer *w, const char *name, const char *value, size_t n);
XK_MUSTCHECK int xk_http_end(struct xk_http_writer *w);

/* xk_http_put_body (w, data, n) - body bytes, as a chunk where chunks are spoken; nothing for HEAD and the like.
 * XK_EINVAL past the announced length. XK_EMSGSIZE when (out) is full, XK_ENOMEM: nothing was written, try again later.
 * xk_http_took (w, n) - counts (n) body bytes that the caller sends himself (a file); returns as above. Not for chunks.
 * xk_http_end_body (w) - the last chunk. XK_EINVAL when the announced length was not reached. */
XK_MUSTCHECK int xk_http_put_body(struct xk_http_writer *w, const void *data, size_t n);
XK_MUSTCHECK int xk_http_took(struct xk_http_writer *w, uint64_t n);
XK_MUSTCHECK int xk_http_end_body(struct xk_http_writer *w);

/* xk_http_whole (out, a, type, body, n) - a whole response, all or nothing; (type) may be NULL. a->framing and
 * a->length do not matter. xk_http_error (out, a, d) - a whole response in plain text: the status, its reason, and
 * (d)'s line and text if (d) is not NULL and filled. */
XK_MUSTCHECK int xk_http_whole(struct xk_buf *out, const struct xk_http_answer *a, const char *type, const void *body,
                               size_t n);
XK_MUSTCHECK int xk_http_error(struct xk_buf *out, const struct xk_http_answer *a, const struct xk_diag *d);

/* --- helpers ------------------------------------------------------------------------------------------------------ */

/* xk_http_media_type (name, n) - by the extension of a file name; "application/octet-stream" if unknown. Static. */
const char *xk_http_media_type(const char *name, size_t n);

/* IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT", of seconds since 1970 (RFC 9110 section 5.6.7).
 * format: 29 bytes and a NUL; XK_ERANGE outside the years 0 .. 9999. parse: strict, also about the day's name;
 * XK_EINVAL. */
enum { XK_HTTP_DATE = 30 };
int xk_http_date_format(char out[XK_HTTP_DATE], int64_t seconds);
XK_MUSTCHECK int xk_http_date_parse(const char *s, size_t n, int64_t *seconds);

/* Entity tags with their quotes (RFC 9110 section 8.8.3.2). The strong comparison is false where one is weak. */
bool xk_http_etag_strong(struct xk_http_str a, struct xk_http_str b);
bool xk_http_etag_weak(struct xk_http_str a, struct xk_http_str b);

/* xk_http_not_modified (m, etag, modified) - whether a GET or HEAD that would be answered 200 is to be answered 304
 * (RFC 9110 section 13.2.2): If-None-Match if there is one, else If-Modified-Since. (etag) may be empty; (modified) < 0
 * is unknown. */
bool xk_http_not_modified(const struct xk_http_msg *m, struct xk_http_str etag, int64_t modified);

/* xk_http_accepts (m, coding) - whether an answer in a content coding ("gzip") is to be preferred to one without
 * (RFC 9110 section 12.5.3): Accept-Encoding names it, or "*", with a weight above 0 and not below identity's. */
bool xk_http_accepts(const struct xk_http_msg *m, const char *coding);

/* xk_http_range_parse (s, n, size, first, last) - a Range field with one range of bytes. 1: send 206 with bytes (first)
 * to (last), both included; 0: ignore the field (another unit, several ranges, malformed); XK_ERANGE: answer 416.
 * xk_http_range (m, etag, modified, size, first, last) - the same for a message: GET only, and If-Range is obeyed. */
int xk_http_range_parse(const char *s, size_t n, uint64_t size, uint64_t *first, uint64_t *last);
int xk_http_range(const struct xk_http_msg *m, struct xk_http_str etag, int64_t modified, uint64_t size,
                  uint64_t *first, uint64_t *last);

XK_API_END

#endif
