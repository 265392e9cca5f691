#!/bin/sh
# Our store server and the C xenstored of Xen 4.17 do the same random operations and must answer alike: a program of
# tests/c/store/diff, which needs no Xen. XK_LONG=1: four minutes; XK_SECONDS=7200 XK_SEED=1000000: as long, from there.
# XK_XENSTORED (the program) and XK_XENSTORED_LIBS choose another xenstored; else it is looked for where Debian, the lab
# and the benchmarks have it, and fetched for these.
set -u
build=${1:-build}
diff=$build/tests/store_diff
seconds=${XK_SECONDS:-4}
[ -z "${XK_LONG:-}" ] || seconds=${XK_SECONDS:-240}
skip() { echo "ok 1 - store against xenstored # SKIP $1"; echo "1..1"; exit 0; }
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

peers=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/xenkit/peers
program=usr/lib/xen-4.17/bin/xenstored
libs=usr/lib/$(uname -m)-linux-gnu

# found ROOT - the program is below it, with libraries there or on this machine.
found() {
    [ -x "$1/$program" ] || return 1
    xenstored=$1/$program libraries=$1/$libs
    ! LD_LIBRARY_PATH=$libraries ldd "$xenstored" 2>&1 | grep -q "not found"
}

# fetch - as bench/lib/suite_store.lua does it: unpacked, never installed.
fetch() {
    mkdir -p "$peers/debs" "$peers/xen-utils" || return 1
    (cd "$peers/debs" && for p in xen-utils-4.17 libxenmisc4.17 libxenevtchn1 libxengnttab1 libxentoollog1 \
        libxentoolcore1 libxencall1 libxenforeignmemory1 libxendevicemodel1; do
        timeout 100 apt-get -q download "$p" && dpkg-deb -x "$p"_*.deb ../xen-utils || exit 1
    done) > "$tmp/fetch" 2>&1
}

if [ ! -x "$diff" ] || [ ! -e "$build/tests/store_diff_shim.so" ]; then
    skip "it was not built: libxen-dev is missing"
fi
if [ -n "${XK_XENSTORED:-}" ]; then
    xenstored=$XK_XENSTORED libraries=${XK_XENSTORED_LIBS:-}
elif ! found "" && ! found "${XK_LAB_CACHE:-$build/lab/cache}/root" && ! found "$peers/xen-utils"; then
    if ! fetch || ! found "$peers/xen-utils"; then
        skip "no xenstored 4.17, and it cannot be fetched"
    fi
fi
TMPDIR=$tmp timeout -k 5 $((seconds + 45)) "$diff" --xenstored "$xenstored" ${libraries:+--libraries "$libraries"} \
    --seconds "$seconds" --reduce 30 --seed "${XK_SEED:-1}"
