# SPDX-License-Identifier: MIT
# For tests of the lab in sh: `. tests/lab/lib/tap.sh`, then checks, then `finish`. $lab is the command scripts/lab,
# $build the folder with what was built, $tmp a folder that goes when the test ends.
# shellcheck shell=sh disable=SC2034
lab=${XK_LAB:-scripts/lab}
build=${BUILD:-build}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
tap_count=0 tap_bad=0

# ok STATUS TEXT - e.g. `[ "$x" = 1 ]; ok $? "x is one"`
ok() {
    tap_count=$((tap_count + 1))
    if [ "$1" = 0 ]; then echo "ok $tap_count - $2"; else echo "not ok $tap_count - $2"; tap_bad=1; fi
}
skip() { tap_count=$((tap_count + 1)); echo "ok $tap_count - $1 # SKIP $2"; }
has() { case "$1" in *"$2"*) true ;; *) echo "# no '$2' in: $1"; false ;; esac; }
is() { [ "$1" = "$2" ] || { echo "# '$1' is not '$2'"; false; }; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }
finish() { echo "1..$tap_count"; exit $tap_bad; }
