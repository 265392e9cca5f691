# SPDX-License-Identifier: MIT
# What all pieces of scripts/lab share: where things lie, how it speaks, how it waits. Sourced by bash, defines only.
# The lab directory holds what one running lab needs; the cache holds packages, images and snapshots, which several labs
# may share. All of it may be deleted when no lab runs.
# shellcheck shell=bash

folder() { mkdir -p "$1" && cd "$1" && pwd; } # makes it; its absolute name
XK_LAB_DIR=$(folder "${XK_LAB_DIR:-$top/build/lab}") || exit 1
XK_LAB_CACHE=$(folder "${XK_LAB_CACHE:-$XK_LAB_DIR/cache}") || exit 1
export XK_LAB_DIR XK_LAB_CACHE

say() { [ -n "${XK_LAB_QUIET:-}" ] || echo "lab: $*" >&2; }
die() { echo "lab: $*" >&2; exit 1; }
cannot() { echo "lab: cannot be had here: $*" >&2; exit 77; } # as test programs say "skipped"

# need_tools COMMAND... - all must be there, or the lab cannot be had.
need_tools() {
    local tool missing=
    for tool in "$@"; do command -v "$tool" > /dev/null || missing="$missing $tool"; done
    [ -z "$missing" ] || cannot "no$missing; run scripts/setup lab"
}

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo "${t%???}"; }
seconds_since() { local ms=$(($(now_ms) - $1)); printf '%d.%02d s' $((ms / 1000)) $((ms % 1000 / 10)); }

# nap SECONDS - sleeps without starting a process: a read from a pipe into which nobody writes.
exec {nap_fd}<> <(:)
nap() { read -r -t "$1" -u "$nap_fd" _ || true; }

# wait_until SECONDS COMMAND... - true as soon as COMMAND is, false when the time is over.
wait_until() {
    local deadline=$(($(now_ms) + $1 * 1000))
    shift
    until "$@"; do
        [ "$(now_ms)" -lt "$deadline" ] || return 1
        nap 0.02
    done
}

# with_lock FILE SECONDS FUNCTION ARGS... - one at a time, also between processes.
with_lock() {
    local file=$1 seconds=$2 fd status
    shift 2
    exec {fd}> "$file"
    flock -w "$seconds" "$fd" || die "somebody has held $file for $seconds s"
    "$@"
    status=$?
    exec {fd}>&-
    return $status
}

close_fds() { # all but 0 1 2, so that a daemon holds no pipe of our caller open
    local fd
    for fd in /proc/self/fd/*; do
        fd=${fd##*/}
        [ "$fd" -le 2 ] || eval "exec $fd>&-" 2> /dev/null
    done
}

is_number() { case "$1" in '' | *[!0-9]*) return 1 ;; esac; }
