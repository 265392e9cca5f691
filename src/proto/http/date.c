/* IMF-fixdate (RFC 9110 section 5.6.7), without the C library's time zone and locale. The calendar counts years from
 * March, so that the leap day is the last of its year and every month's start is a linear formula.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/http.h>

static const char days[] = "ThuFriSatSunMonTueWed"; /* day 0, 1970-01-01, was a Thursday */
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

enum { DAY = 86400, DAYS_400 = 146097, DAYS_TO_1970 = 719468 }; /* from 0000-03-01 */

static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
    int64_t era;
    unsigned yoe, doy;

    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    yoe = (unsigned)(y - era * 400);
    doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    return era * DAYS_400 + (int64_t)(yoe * 365 + yoe / 4 - yoe / 100 + doy) - DAYS_TO_1970;
}

static void civil_from_days(int64_t z, int64_t *y, unsigned *m, unsigned *d)
{
    int64_t era;
    unsigned doe, yoe, doy, mp;

    z += DAYS_TO_1970;
    era = (z >= 0 ? z : z - (DAYS_400 - 1)) / DAYS_400;
    doe = (unsigned)(z - era * DAYS_400);
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = (int64_t)yoe + era * 400 + (*m <= 2);
}

static void two(char *p, unsigned v)
{
    p[0] = (char)('0' + v / 10);
    p[1] = (char)('0' + v % 10);
}

int xk_http_date_format(char out[XK_HTTP_DATE], int64_t seconds)
{
    int64_t z, y;
    unsigned m, d, s;

    if (seconds < -62167219200 || seconds > 253402300799) /* 0000-01-01 .. 9999-12-31 */
        return XK_ERANGE;
    z = seconds / DAY - (seconds % DAY < 0);
    s = (unsigned)(seconds - z * DAY);
    civil_from_days(z, &y, &m, &d);
    memcpy(out, "Ddd, 00 Mon 0000 00:00:00 GMT", XK_HTTP_DATE);
    memcpy(out, days + (z % 7 + 7) % 7 * 3, 3);
    two(out + 5, d);
    memcpy(out + 8, months + (m - 1) * 3, 3);
    two(out + 12, (unsigned)(y / 100));
    two(out + 14, (unsigned)(y % 100));
    two(out + 17, s / 3600);
    two(out + 20, s / 60 % 60);
    two(out + 23, s % 60);
    return 0;
}

/* The number of the (n) digits at (s), or -1. */
static int number(const char *s, int n)
{
    int v = 0;

    while (n--) {
        if (*s < '0' || *s > '9')
            return -1;
        v = v * 10 + *s++ - '0';
    }
    return v;
}

int xk_http_date_parse(const char *s, size_t n, int64_t *seconds)
{
    char again[XK_HTTP_DATE];
    int d, y, h, min, sec;
    unsigned m = 0;

    if (n != XK_HTTP_DATE - 1)
        return XK_EINVAL;
    while (m < 12 && memcmp(months + 3 * m, s + 8, 3) != 0)
        m++;
    d = number(s + 5, 2);
    y = number(s + 12, 4);
    h = number(s + 17, 2);
    min = number(s + 20, 2);
    sec = number(s + 23, 2);
    if (m == 12 || d < 1 || d > 31 || y < 0 || h < 0 || h > 23 || min < 0 || min > 59 || sec < 0 || sec > 60)
        return XK_EINVAL;
    if (sec == 60) /* a leap second has no number of its own */
        sec = 59;
    *seconds = days_from_civil(y, m + 1, (unsigned)d) * DAY + h * 3600 + min * 60 + sec;
    /* Written again it must read the same: that checks the day's name, the punctuation and 31 April at once. */
    if (xk_http_date_format(again, *seconds) < 0)
        return XK_EINVAL;
    return memcmp(again, s, 23) == 0 && memcmp(again + 25, s + 25, 4) == 0 ? 0 : XK_EINVAL;
}
