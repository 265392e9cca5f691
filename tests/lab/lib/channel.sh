# SPDX-License-Identifier: MIT
# Commands in dom0 and files to and from it. A command is a folder in the share: cmd, in, out, err, rc; the agent is
# told its name through a fifo. While it runs its output is passed on as it comes. dom0's own folder /h is in its
# memory, since programs and kernel images that are mapped from the share page by page start slowly.
# shellcheck shell=bash disable=SC2154

need_up() { lab_pid > /dev/null || die "the lab in $XK_LAB_DIR does not run; scripts/lab up starts it"; }

# run_in_dom0 SECONDS COMMAND [-] - its output, its exit code; 124 when the time is over, 125 when dom0 is gone. With
# "-" our stdin is read to its end first and becomes the command's.
run_in_dom0() {
    local seconds=$1 job dir status=0 out err
    need_up
    dir=$(mktemp -d "$share/run/XXXXXXXX") || exit 1
    job=${dir##*/}
    printf '%s\n' "$2" > "$dir/cmd"
    [ "${3:-}" != - ] || cat > "$dir/in"
    : > "$dir/out"
    : > "$dir/err"
    exec {out}< "$dir/out" {err}< "$dir/err"
    trap 'tell channel "kill $job"; rm -rf "$dir"; exit 130' INT TERM
    tell channel "run $job"
    wait_for_job || status=$?
    trap - INT TERM
    cat <&"$out"
    cat <&"$err" >&2
    exec {out}<&- {err}<&-
    [ $status != 0 ] || status=$(cat "$dir/rc")
    rm -rf "$dir"
    return "$status"
}

# The loop of run_in_dom0, in its variables: looks for the exit code often, passes output on five times a second. Each
# second the machine is poked, as it was seen to lose its timer interrupt and then to stand still until another one came.
wait_for_job() {
    local deadline=$(($(now_ms) + seconds * 1000)) turn=0
    until [ -s "$dir/rc" ]; do
        nap 0.01
        turn=$((turn + 1))
        [ $((turn % 20)) = 0 ] || continue
        [ $((turn % 80)) != 0 ] || tell channel poke
        cat <&"$out"
        cat <&"$err" >&2
        lab_pid > /dev/null || { tell_death; return 125; }
        if [ "$(now_ms)" -ge "$deadline" ]; then
            tell channel "kill $job"
            echo "lab: the command did not end within $seconds s" >&2
            return 124
        fi
    done
}

# What the machine said last, since its folder may go with the test that had it.
tell_death() {
    echo "lab: dom0 is gone; the ends of con.log and qemu.log in $XK_LAB_DIR:" >&2
    tail -n 40 "$XK_LAB_DIR/con.log" >&2
    tail -n 10 "$XK_LAB_DIR/qemu.log" >&2
}

# word TEXT - quoted for a shell.
word() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

# libraries FILE - the closure of a dynamically linked program; nothing for other files.
libraries() {
    [ "$(head -c 4 "$1" | tr -d '\0')" = $'\x7fELF' ] || return 0
    readelf -d "$1" 2> /dev/null | grep -q NEEDED || return 0
    ldd "$1" 2> /dev/null | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p'
}

# copy_with_libraries TARGET FILE|FOLDER... - copies them to the folder TARGET, and the libraries of programs to
# TARGET/lib.
copy_with_libraries() {
    local target=$1 name file library
    shift
    mkdir -p "$target/lib"
    for name in "$@"; do
        cp -rL -- "$name" "$target/" || return 1
        find "$name" -follow -type f | while read -r file; do libraries "$file"; done | sort -u |
            while read -r library; do cp -L "$library" "$target/lib/"; done
    done
}

# put_files FILE|FOLDER... - to /h, and the libraries of programs to /h/lib.
put_files() {
    local stage status
    need_up
    stage=$(mktemp -d "$share/put.XXXXXXXX") || exit 1
    copy_with_libraries "$stage" "$@" || { rm -rf "$stage"; exit 1; }
    # A program that runs cannot be written to, so what is there is taken away first.
    run_in_dom0 120 "cd /host/${stage##*/} && find . -type f | while read -r f; do rm -f \"/h/\$f\"; done; cp -R . /h/"
    status=$?
    rm -rf "$stage"
    return $status
}

get_file() {
    if [ "$2" = - ]; then
        run_in_dom0 120 "cat -- $(word "$1")"
    elif run_in_dom0 120 "cat -- $(word "$1")" > "$2.part"; then
        mv -- "$2.part" "$2"
    else
        rm -f -- "$2.part"
        return 1
    fi
}

open_shell() {
    need_up
    need_tools socat
    local rows columns
    [ -t 0 ] || die "shell wants a terminal; scripts/lab run takes commands without one"
    read -r rows columns < <(stty size)
    run_in_dom0 10 "stty -F /dev/hvc1 rows $rows cols $columns" || return 1
    echo "A shell in dom0. Ctrl-\\ leaves it." >&2
    cd "$XK_LAB_DIR" || exit 1
    printf '\n' | socat - UNIX-CONNECT:shell.sock # so that there is a prompt
    socat -,raw,echo=0,escape=0x1c UNIX-CONNECT:shell.sock
}
