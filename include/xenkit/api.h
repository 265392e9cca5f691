/* xenkit/api.h - the brackets around every public declaration, and attributes.
 *
 * All of libxenkit is compiled with hidden symbols; what stands between XK_API_BEGIN and XK_API_END is visible, and
 * the export map (src/libxenkit.map) lists the same names once more. SPDX-License-Identifier: MIT */
#ifndef XENKIT_API_H
#define XENKIT_API_H

#ifdef __cplusplus
#define XK_API_C_BEGIN extern "C" {
#define XK_API_C_END }
#else
#define XK_API_C_BEGIN
#define XK_API_C_END
#endif

#if defined(__GNUC__)
#define XK_API_BEGIN _Pragma("GCC visibility push(default)") XK_API_C_BEGIN
#define XK_API_END XK_API_C_END _Pragma("GCC visibility pop")
#define XK_MUSTCHECK __attribute__((warn_unused_result)) /* a result that must be looked at */
#define XK_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define XK_API_BEGIN XK_API_C_BEGIN
#define XK_API_END XK_API_C_END
#define XK_MUSTCHECK
#define XK_PRINTF(fmt, args)
#endif

#endif
