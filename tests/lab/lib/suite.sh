# SPDX-License-Identifier: MIT
# Runs the lab's tests: programs that print TAP. Shows the output of those that fail, counts, and takes the lab down
# if it had to bring it up.
# shellcheck shell=bash disable=SC2154

# count_tap LOG STATUS - adds to passed, failed, skipped; fails when the program did.
count_tap() {
    local good skips bad
    good=$(grep -c '^ok ' "$1")
    skips=$(grep -ci '^ok .*# skip' "$1")
    bad=$(grep -c '^not ok ' "$1")
    if [ "$2" = 77 ] && [ $((good + bad)) = 0 ]; then skips=1 good=1; fi
    if [ "$2" != 77 ] && [ "$bad" = 0 ] && { [ "$2" != 0 ] || [ "$good" = 0 ]; }; then bad=1; fi
    passed=$((passed + good - skips)) failed=$((failed + bad)) skipped=$((skipped + skips))
    [ "$bad" = 0 ]
}

# run_once PATH LOG
run_once() {
    local program=sh status
    case "$1" in *.lua) program=lua5.4 ;; esac
    (cd "$top" && timeout -k 5 "${XK_LAB_TEST_SECONDS:-${XK_LONG:+7}600}" "$program" "$1") > "$2" 2>&1
    status=$?
    [ $status != 124 ] || echo "# the test did not end in time" >> "$2"
    return $status
}

# run_test PATH, in run_suite's variables. When the whole machine died, which no guest may do to it, that is shown, and
# the test begins anew once.
run_test() {
    local name log status start
    name=${1##*/}; name=${name%.*}
    log=$(mktemp) || exit 1
    start=$(now_ms)
    run_once "$1" "$log"
    status=$?
    if [ $status != 0 ] && grep -q 'lab: dom0 is gone' "$log"; then
        echo "  $name: the emulated machine died; once more. It said:" >&2
        sed -n '/lab: dom0 is gone/,/^not ok\|^ok/p' "$log" | head -n 60 | sed 's/^/    /' >&2
        forget_snapshots
        [ "$mine" = no ] || lab_pid > /dev/null || "$self" up || exit 1
        run_once "$1" "$log"
        status=$?
    fi
    if count_tap "$log" $status; then
        printf '  %-28s %3d  %s\n' "$name" "$(grep -c '^ok ' "$log")" "$(seconds_since "$start")" >&2
    else
        echo "FAILED $name"
        sed 's/^/    /' "$log"
    fi
    rm -f "$log"
}

# wanted PATH NAME... - NAME is "lab", "test_lab" or "test_lab.sh".
wanted() {
    local file=${1##*/} name
    shift
    [ $# -gt 0 ] || return 0
    for name in "$@"; do
        case "$file" in "$name" | "$name".* | test_"$name".*) return 0 ;; esac
    done
    return 1
}

run_suite() {
    local passed=0 failed=0 skipped=0 mine=no path
    export XK_LAB=$self
    BUILD=${BUILD:-$top/build}
    case "$BUILD" in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
    export BUILD
    if ! lab_pid > /dev/null; then
        mine=yes
        "$self" up || return $?
        trap '"$self" down; exit 130' INT TERM
    fi
    for path in "$lab_source"/test_*.sh "$lab_source"/test_*.lua; do
        [ -e "$path" ] && wanted "$path" "$@" && run_test "$path"
    done
    [ $mine = no ] || end_qemu
    echo "$passed passed, $failed failed, $skipped skipped"
    [ $failed = 0 ] && [ $((passed + skipped)) -gt 0 ]
}
