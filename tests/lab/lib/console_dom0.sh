# SPDX-License-Identifier: MIT
# The part of tests/lab/test_console.sh that runs in dom0: sh console_dom0.sh STEP [WORD...]. Each step prints lines that
# the test looks at. Busybox's shell.
export LD_LIBRARY_PATH=/h/lib PATH="/h:$PATH"
logs=/var/log/xen/console work=/tmp/console-test
mkdir -p $work

until_true() { # SECONDS COMMAND...
    t=$(($1 * 5)); shift
    until "$@" > /dev/null 2>&1; do t=$((t - 1)); [ $t -gt 0 ] || return 1; sleep 0.2; done
}
stub_is_untold() { ! xenstore-exists /tool/xenconsoled/domid; }
daemon_is_up() { xenkit console --on xen --stats; }

start() { # WORDS... - our daemon, in xenconsoled's place
    if [ -e /run/xen/xenconsoled.pid ]; then
        kill "$(cat /run/xen/xenconsoled.pid)"
        rm -f /run/xen/xenconsoled.pid
    fi
    xenkit run --on xen /h/console.lua policy=/h/policy.lua triggers=/h/triggers.lua "$@" >> $work/out 2>&1 &
    echo $! > $work/pid
    until_true 10 daemon_is_up && echo up
}

stop() {
    kill "$(cat $work/pid)"
    rm -f $work/pid
    sleep 0.3
}

# xenconsoled again, for other tests
restore() {
    [ ! -e $work/pid ] || stop
    xenstore-rm /tool/xenconsoled/domid 2> /dev/null
    xenconsoled --log=guest --log-dir=$logs --pid-file=/run/xen/xenconsoled.pid
}

domid() { xl domid "$1"; }

# user NAME [WORDS of xl console] - one who types what stands on standard input; see console_pty.c
user() {
    name=$1; shift
    console_pty 15 xl console "$@" "$name"
}

# A further console for a running guest: the nodes that a toolstack writes, the front's state last, since the guest looks
# at once. second NAME BACKEND CHANNEL
second() {
    d=$(domid "$1") f=/local/domain/$d/device/console/1 b=/local/domain/$2/backend/console/$d/1
    xenstore-write $b/frontend $f $b/frontend-id $d $b/online 1 $b/state 1 $b/protocol vt100
    xenstore-write $f/backend $b $f/backend-id $2 $f/type xenconsoled $f/output pty $f/name "$3" $f/tty "" \
        $f/protocol vt100 $f/state ""
    xenstore-chmod -r $b n$2 r$d
    for node in type output name tty; do xenstore-chmod $f/$node n$2 r$d; done
    for node in backend backend-id protocol state; do xenstore-chmod $f/$node n$d r$2; done
    xenstore-chmod $f n$d r$2
    xenstore-write $f/state 1
    until_true 10 has_tty "$d" && echo connected
}
has_tty() { [ -n "$(xenstore-read "/local/domain/$1/device/console/1/tty")" ]; }

"$@"
