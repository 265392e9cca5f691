/* base/utf.h - UTF-8 and UTF-16, strictly from the one and leniently from the other. SPDX-License-Identifier: MIT */
#ifndef XK_BASE_UTF_H
#define XK_BASE_UTF_H

#include <stddef.h>
#include <stdint.h>

/* The units of UTF-16 of a string, at most (room) of them. XK_EINVAL: it is no UTF-8, or has control letters;
 * XK_E2BIG: they are more. */
int xk__utf16_of(const char *text, uint16_t *out, size_t room);

/* Whether (n) bytes are UTF-8 without control letters. */
int xk__utf8_is(const char *text, size_t n);

/* (n) units, up to a zero, as UTF-8; what is no character, or a control letter, is a question mark. (out) has room for
 * three bytes a unit, and a zero. How many bytes. */
size_t xk__utf8_of(const uint16_t *in, size_t n, char *out);

#endif
