#!/bin/sh
# Libraries that are loaded when they are needed (scripts/lazy.lua, src/cli/lazy.c): arguments of all kinds arrive, a library
# that is missing is named, and `xenkit` has none of those that its command does without.
set -u
build=${1:-build}
case $build in /*) ;; *) build=$PWD/$build ;; esac
src=$PWD
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
n=0 bad=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }
[ -f "$build/lazy.c" ] || { echo "ok 1 - nothing waits # SKIP libraries are linked here"; echo "1..1"; exit 0; }
cc=${CC:-cc}
cd "$tmp" || exit 1
cat > lib.c << 'C'
#include <stdarg.h>
#include <stdio.h>
int seven(int a, int b, int c, int d, int e, int f, int g) { return a + 10 * b + 100 * c + 1000 * d + 10000 * e + 100000 * f + 1000000 * g; }
double eight(double a, double b, double c, double d, double e, double f, double g, double h) { return a - b + c - d + e - f + g * h; }
struct large { long a, b, c; } three(long a) { return (struct large){a, a + 1, a + 2}; }
int text(char *out, const char *form, ...)
{
    va_list l;
    va_start(l, form);
    int n = vsprintf(out, form, l);
    va_end(l);
    return n;
}
C
cat > main.c << 'C'
#include <stdio.h>
#include <string.h>
int seven(int, int, int, int, int, int, int);
double eight(double, double, double, double, double, double, double, double);
struct large { long a, b, c; } three(long);
int text(char *, const char *, ...);
int main(void)
{
    char out[200];
    for (int i = 0; i < 2; i++) { /* the first call, and the second */
        struct large l = three(5);
        text(out, "%d %g %s %g %ld %d %d %d %g", 1, 2.5, "x", 3.5, 4L, 5, 6, 7, 8.5);
        if (seven(1, 2, 3, 4, 5, 6, 7) != 7654321 || eight(8, 1, 2, 3, 4, 5, 6, 7) != 47 || l.a + l.b + l.c != 18 ||
            strcmp(out, "1 2.5 x 3.5 4 5 6 7 8.5"))
            return 1;
    }
    return 0;
}
C
$cc -O2 -shared -fPIC -Wl,-soname,libwaits.so.1 -o libwaits.so.1 lib.c && $cc -O2 -c main.c &&
    lua5.4 "$src/scripts/lazy.lua" waits.c libwaits.so.1 -- main.o &&
    $cc -O2 "-I$src/src" -o main main.o waits.c "$src/src/cli/lazy.c" -ldl && LD_LIBRARY_PATH=. ./main
ok $? "arguments of all kinds arrive, the first time and later"
! readelf -d main | grep -q libwaits && out=$(./main 2>&1); [ $? = 127 ] && case $out in *libwaits.so.1*) true ;; *) false ;; esac
ok $? "a library that is missing is named"
out=$(LD_DEBUG=files "$build/xenkit" fat --help 2>&1); ! echo "$out" | grep -q -e libcrypto -e libsqlite3
ok $? "xenkit fat does without OpenSSL and SQLite"
out=$(LD_DEBUG=files "$build/xenkit" crunch "$src/docs" -o docs.zip 2>&1) && echo "$out" | grep -q libz.so
ok $? "and crunch has zlib"
echo "1..$n"
exit $bad
