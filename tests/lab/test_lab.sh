#!/bin/sh
# SPDX-License-Identifier: MIT
# The lab tests itself, in a lab of its own (the cache is shared): commands, files, guests, snapshots, the end.
# shellcheck disable=SC1091,SC2016,SC2086,SC2154
. "$(dirname "$0")/lib/tap.sh"
here=$(cd "$(dirname "$0")" && pwd)
XK_LAB_DIR=$tmp/lab
XK_LAB_CACHE=${XK_LAB_CACHE:-build/lab/cache}
XK_LAB_QUIET=1
export XK_LAB_DIR XK_LAB_CACHE XK_LAB_QUIET
trap '$lab down; rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM

milliseconds() { # command... - how long it takes; its output is dropped
    since=$(now_ms)
    "$@" > /dev/null 2>&1 || echo "# failed: $*" >&2
    echo $(($(now_ms) - since))
}
our_processes() { # whose current folder is the lab's
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/cwd" 2> /dev/null)" != "$XK_LAB_DIR" ] || echo "${process##*/}"
    done
}

# Up and down.
$lab run true 2> "$tmp/err"; is $? 1 && has "$(cat "$tmp/err")" "does not run"; ok $? "run says when nothing runs"
cold=$(milliseconds $lab up --fresh)
$lab run true; ok $? "a cold boot, $cold ms"
$lab down; is "$(our_processes)" ""; ok $? "down leaves no process"
$lab down; ok $? "down again does nothing"
$lab up; ok $? "up with a snapshot"
$lab down
warm=$(milliseconds $lab up)
[ $((warm * 3)) -lt "$cold" ]; ok $? "a snapshot resumes in a third of a boot's time: $warm ms"
$lab up; ok $? "up again does nothing"
$lab up --cpu rich 2> /dev/null; is $? 1; ok $? "up with other settings is refused"
$lab status > "$tmp/out" && has "$(cat "$tmp/out")" "cpu=poor"; ok $? "status"
since=$(($($lab run 'date +%s') - $(date +%s)))
[ $since -ge -3 ] && [ $since -le 1 ]; ok $? "dom0's clock is right after the resume"

# Commands.
out=$($lab run 'xl list'); has "$out" Domain-0; ok $? "xl list"
$lab run 'exit 7'; is $? 7; ok $? "the command's exit code"
$lab run 'echo to-out; echo to-err >&2' > "$tmp/out" 2> "$tmp/err"
is "$(cat "$tmp/out")" to-out && is "$(cat "$tmp/err")" to-err; ok $? "stdout and stderr come apart"
$lab run 'head -c 1000000 /dev/urandom > /tmp/r; sha256sum < /tmp/r >&2; cat /tmp/r' > "$tmp/out" 2> "$tmp/err"
is "$(wc -c < "$tmp/out")" 1000000 && is "$(sha256sum < "$tmp/out")" "$(cat "$tmp/err")"; ok $? "1 MB of random output"
out=$($lab run "printf '%s\n' \"it's\" '\"x\"
y' '\$z'"); is "$out" "$(printf 'it'"'"'s\n"x"\ny\n$z')"; ok $? "quotes and line feeds in a command"
head -c 300000 /dev/urandom > "$tmp/in"
is "$($lab run -i sha256sum < "$tmp/in")" "$(sha256sum < "$tmp/in")"; ok $? "stdin"
took=$(milliseconds sh -c "$lab run -t 2 'echo early; sleep 77' > $tmp/out; [ \$? = 124 ]" 2> "$tmp/err")
[ "$took" -ge 2000 ] && [ "$took" -lt 6000 ] && is "$(cat "$tmp/err")" "" && is "$(cat "$tmp/out")" early
ok $? "a deadline: exit code 124, what was written before is there"
sleep 1; out=$($lab run 'ps | grep "[s]leep 77"'); is "$out" ""; ok $? "the late command is killed"
took=$(milliseconds $lab run 'sleep 30 &'); [ "$took" -lt 5000 ]; ok $? "a background process delays nothing"
$lab run 'sleep 1; echo slow' > "$tmp/slow" &
took=$(milliseconds $lab run 'echo quick'); wait $!
[ "$took" -lt 900 ] && is "$(cat "$tmp/slow")" slow; ok $? "two commands at once"

# Files.
lua=$(command -v lua5.4)
if [ -n "$lua" ]; then
    $lab put "$lua" && out=$($lab run "LD_LIBRARY_PATH=/h/lib /h/lua5.4 -e 'print(6*7, 0x7p-1)'"); is "$out" "42	3.5"
    ok $? "put a program with its libraries"
else skip "put a program with its libraries" "no lua5.4"; fi
mkdir -p "$tmp/dir/sub"; echo one > "$tmp/dir/sub/f"
$lab put "$tmp/dir" "$tmp/in" && is "$($lab run 'cat /h/dir/sub/f')" one; ok $? "put a folder"
$lab get /h/in "$tmp/back" && cmp "$tmp/in" "$tmp/back"; ok $? "get"
! $lab get /nowhere "$tmp/none" 2> /dev/null && [ ! -e "$tmp/none" ]; ok $? "get of nothing leaves no file"

# Linux guests.
for type in pvh ${XK_LONG:+pv}; do # others need PV guests, too
    out=$($lab guest g1 --$type --file "$tmp/dir" -- 'cat dir/sub/f; ls /dev/xen; xenstore-read name; exit 5'); code=$?
    is $code 5 && has "$out" "one" && has "$out" gntalloc && has "$out" gntdev && has "$out" evtchn && has "$out" g1
    ok $? "a $type guest runs a command: files, devices, store, exit code"
done
out=$($lab run 'xl list'); is "$(echo "$out" | wc -l)" 2; ok $? "guests are destroyed"
$lab guest g2 --keep -- 'echo stays; head -c 100000 /dev/urandom > x; sha256sum < x; cat x' > "$tmp/out"
is "$(tail -n +3 "$tmp/out" | sha256sum)" "$(sed -n 2p "$tmp/out")"; ok $? "a guest's random output"
has "$($lab run 'xl list')" g2; ok $? "--keep"
has "$($lab console g2 -t 1)" stays; ok $? "console shows it from the first byte"
$lab guest g3 -- 'echo c > /proc/sysrq-trigger' 2> "$tmp/err"; is $? 125 && has "$(cat "$tmp/err")" "Kernel panic"
ok $? "a guest that crashes"

# Our own kernels.
flags="-m32 -O1 -ffreestanding -fno-pic -fno-stack-protector -nostdlib -static"
# shellcheck disable=SC2086
if gcc $flags -Wl,-Ttext-segment=0x100000,-z,noseparate-code,--build-id=none,-estart -o "$tmp/tiny" "$here/tiny.c"; then
    cat > "$tmp/tiny.cfg" << 'CONFIG'
name = "tiny"
type = "pvh"
kernel = "/h/tiny"
memory = 8
vcpus = 1
tsc_mode = "native"
on_crash = "destroy"
on_reboot = "destroy"
CONFIG
    $lab put "$tmp/tiny" && $lab create "$tmp/tiny.cfg"; ok $? "create"
    $lab console tiny -t 20 > "$tmp/out"
    is "$(wc -l < "$tmp/out")" 200 && is "$(tail -n 1 "$tmp/out")" "line 200"; ok $? "console has all of a short life"
    is "$($lab guest-log tiny | sha256sum)" "$(sha256sum < "$tmp/out")"; ok $? "guest-log, after the guest's end"
    has "$($lab dmesg | tail -n 3)" ") tiny begins"; ok $? "port 0xe9 is seen by dmesg"
else skip "create" "gcc makes no 32-bit program"; fi
echo 'name = "x"' > "$tmp/x.cfg"; echo 'kernel = "/nowhere"' >> "$tmp/x.cfg"
! $lab create "$tmp/x.cfg" 2> "$tmp/err" && has "$(cat "$tmp/err")" /nowhere; ok $? "create says what xl says"
# The emulator's fault, played by a false xl.
cat > "$tmp/xl" << 'FALSE_XL'
#!/bin/sh
case "$1" in
    create) echo "created" >> /tmp/creates ;;
    dmesg)
        echo "(XEN) d7v0 Triple fault - invoking HVM shutdown action 1"
        echo "(XEN) RIP:    e008:[<$(cat /h/rip)40203f5a>]"
        ;;
esac
FALSE_XL
chmod +x "$tmp/xl"
for rip in ffff82d0 00000000; do
    echo $rip > "$tmp/rip"
    $lab put "$tmp/xl" "$tmp/rip" "$tmp/x.cfg"
    out=$($lab run 'rm -f /tmp/creates; PATH=/h:$PATH; /lab/create /h/x.cfg 2>&1; echo "code $?"
        grep -c . /tmp/creates')
    case $rip in
        ffff*) has "$out" "(try 2)" && has "$out" "code 1" && has "$out" "
2" ;;
        *) has "$out" "not by the emulator" && has "$out" "code 0" && has "$out" "
1" ;;
    esac
    ok $? "a guest that dies at $rip..."
done

# Without a store.
$lab down
$lab up --store none; ok $? "up --store none"
out=$($lab run -t 30 '/lab/store ocaml && xenstore-read domid; pidof oxenstored > /dev/null && xl list')
has "$out" Domain-0; ok $? "the OCaml store"
$lab down; is "$(our_processes)" ""; ok $? "nothing is left"
for verb in up run put get create guest console guest-log dmesg shell status down test fetch build tools clean; do
    $lab --help | grep -q "^  $verb " && $lab --help | grep -q "scripts/lab $verb" || echo "$verb"
done > "$tmp/out"; is "$(cat "$tmp/out")" ""; ok $? "--help teaches every verb"
finish
