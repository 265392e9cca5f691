# SPDX-License-Identifier: MIT
# The emulated machine: boots it, saves a snapshot of the booted dom0, resumes that, ends it. QEMU runs in the lab
# directory, so that all names in its command line are relative and two labs never meet; it is known by the pid file
# there. The shared folder is mounted only after a resume, since a mounted 9p cannot be saved.
# shellcheck shell=bash disable=SC2154

share=$XK_LAB_DIR/share

# lab_pid - the pid of our QEMU; fails when it does not run. A pid that now belongs to somebody else is not ours.
lab_pid() {
    local pid
    pid=$(cat "$XK_LAB_DIR/qemu.pid" 2> /dev/null) && [ -n "$pid" ] || return 1
    [ "$(readlink "/proc/$pid/cwd")" = "$XK_LAB_DIR" ] || return 1
    tr '\0' ' ' < "/proc/$pid/cmdline" 2> /dev/null | grep -q '^[^ ]*qemu-system' || return 1
    echo "$pid"
}

cpu_model() {
    case "$1" in
        poor) echo qemu64,+svm,+npt,+rdrand ;;
        rich) echo max,-smap,-rdtscp ;;
        *) die "no CPU model '$1'; there are poor and rich" ;;
    esac
}

# set_machine CPU STORE - the options that a snapshot depends on, in $machine; the snapshot's file, in $snapshot.
set_machine() {
    local model xen_line linux_line key clock=(-accel "tcg,thread=multi")
    model=$(cpu_model "$1") || exit 1
    xen_line="console=com1 com1=115200 dom0_mem=640M,max:640M bootscrub=0 conring_size=512k loglvl=all guest_loglvl=all"
    linux_line="console=hvc0 quiet store=$2"
    [ -z "${XK_LAB_ICOUNT:-}" ] || clock=(-accel "tcg,thread=single" -icount "shift=$XK_LAB_ICOUNT")
    # The first -global cures a fault of QEMU 7.2, which cannot load its own state otherwise; with the second, what was
    # saved while it stood still runs when it is loaded.
    machine=(
        -name "xenkit lab" -nodefaults -no-user-config -no-reboot -display none
        -M pc -global PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off
        -global migration.store-global-state=off
        "${clock[@]}" -cpu "$model" -smp "${XK_LAB_CPUS:-1}" -m "${XK_LAB_MEMORY:-1536}"
        -kernel "$images/xen.elf" -append "$xen_line" -initrd "$images/vmlinux $linux_line,$images/dom0.cpio"
        -serial "file:con.log" -chardev "pipe,id=monitor,path=monitor" -mon "chardev=monitor,mode=control"
        -device virtio-serial-pci -chardev "pipe,id=lab,path=channel" -device "virtserialport,chardev=lab,name=lab"
        -chardev "socket,id=shell,path=shell.sock,server=on,wait=off" -device "virtconsole,chardev=shell"
        -fsdev "local,id=host,path=share,security_model=none" -device "virtio-9p-pci,fsdev=host,mount_tag=lab"
        -device "virtio-net-pci,netdev=net,romfile="
    )
    key=$({ qemu-system-x86_64 --version; echo "${machine[*]}"; } | sha256sum | cut -c 1-16)
    snapshot=$images/snapshot-$1-$2-$key
}

# start_qemu OPTION... - starts it in the background, notes its pid, returns when its monitor listens.
start_qemu() {
    rm -rf "$share" "$XK_LAB_DIR"/*.sock "$XK_LAB_DIR"/{channel,monitor}.{in,out}
    mkdir -p "$share/run"
    mkfifo "$XK_LAB_DIR"/{channel,monitor}.{in,out} || exit 1
    (
        cd "$XK_LAB_DIR" || exit 1
        exec < /dev/null > qemu.log 2>&1
        close_fds
        exec setsid qemu-system-x86_64 "${machine[@]}" "$@"
    ) &
    echo $! > "$XK_LAB_DIR/qemu.pid"
    wait_until 10 started $!
    # A fifo keeps nothing while nobody has it open, so the monitor is spoken to after its greeting.
    if ! hear monitor 30 '*"QMP"*'; then
        end_qemu
        die "QEMU does not start: $(tail -n 3 "$XK_LAB_DIR/qemu.log")"
    fi
    tell monitor '{"execute":"qmp_capabilities"}'
}
started() { lab_pid > /dev/null || pid_gone "$1"; } # until its last exec the process is not yet known as ours

# hear WHO SECONDS PATTERN - waits for a line from dom0's agent ("channel") or from QEMU's monitor ("monitor").
hear() {
    local line fd status=1 deadline=$(($(now_ms) + $2 * 1000))
    exec {fd}<> "$XK_LAB_DIR/$1.out"
    while [ $status = 1 ] && [ "$(now_ms)" -lt "$deadline" ] && lab_pid > /dev/null; do
        # shellcheck disable=SC2053
        read -r -t 1 -u "$fd" line && [[ $line = $3 ]] && status=0
    done
    exec {fd}>&-
    return $status
}

tell() { [ ! -p "$XK_LAB_DIR/$1.in" ] || echo "$2" 1<> "$XK_LAB_DIR/$1.in"; }

# Nothing may be told to the agent before the machine runs: an interrupt is lost while the state is being loaded.
resumed() { tell monitor '{"execute":"query-status"}' && hear monitor 60 '*"@(RESUME"|running": true)*'; }
hello() { tell channel "hello $(date +%s)" && hear channel 30 ready; }

# The machine stands still meanwhile. One that was saved while it ran had damaged memory: dom0 died of it, half a minute
# after each time that it was resumed.
save_snapshot() {
    local part=$snapshot.$$
    local events='{"capability":"events","state":true}'
    tell monitor '{"execute":"stop"}'
    hear monitor 30 '*"STOP"*' || return 1
    tell monitor '{"execute":"migrate-set-capabilities","arguments":{"capabilities":['"$events"']}}'
    tell monitor '{"execute":"migrate","arguments":{"uri":"exec:cat > '"'$part'"'"}}'
    if hear monitor 60 '*"status": "completed"*'; then
        mv "$part" "$snapshot"
    else
        rm -f "$part"
        return 1
    fi
}

# boot OPTION... - a cold start until dom0's agent speaks; once more if that fails.
boot() {
    local start try
    for try in 1 2; do
        start=$(now_ms)
        say "booting Xen and dom0 ..."
        start_qemu "$@"
        if hear channel 90 booted; then
            say "booted in $(seconds_since "$start")"
            return 0
        fi
        say "the boot failed (try $try); last lines of $XK_LAB_DIR/con.log:"
        tail -n 5 "$XK_LAB_DIR/con.log" "$XK_LAB_DIR/qemu.log" >&2
        end_qemu
    done
    return 1
}

# forget_snapshots - after a machine died: should they be at fault, the next one boots afresh.
forget_snapshots() { rm -f "$XK_LAB_CACHE"/images-*/snapshot-*; }

make_snapshot() {
    [ ! -e "$snapshot" ] || return 0
    boot -netdev user,id=net,restrict=on || return 1
    save_snapshot || say "the snapshot could not be saved"
    end_qemu
}

# up_machine CPU STORE FRESH [FORWARD...] - a FORWARD as QEMU's hostfwd has it.
up_machine() {
    local cpu=$1 store=$2 fresh=$3 machine snapshot net="user,id=net,restrict=on" forward start
    shift 3
    # Guests reach nothing outside, so that tests depend on nothing. QEMU drops answers by UDP in that mode.
    case "$*" in *udp:*) net="user,id=net" ;; esac
    for forward in "$@"; do net="$net,hostfwd=$forward"; done
    trap 'end_qemu; exit 130' INT TERM
    set_machine "$cpu" "$store"
    echo "cpu=$cpu store=$store $*" > "$XK_LAB_DIR/settings"
    if [ "$fresh" = no ] && (with_lock "$XK_LAB_CACHE/lock" 300 make_snapshot) && [ -e "$snapshot" ]; then
        start=$(now_ms)
        touch "$images"
        start_qemu -netdev "$net" -incoming "exec:cat '$snapshot'"
        if resumed && hello; then
            say "dom0 answers after $(seconds_since "$start")"
            return 0
        fi
        say "the snapshot does not resume; it is thrown away"
        end_qemu
        rm -f "$snapshot"
    fi
    if ! { boot -netdev "$net" && hello; }; then
        end_qemu
        die "dom0 does not come up; see con.log and qemu.log in $XK_LAB_DIR"
    fi
}

end_qemu() {
    local pid
    pid=$(lab_pid) || { rm -f "$XK_LAB_DIR/qemu.pid"; return 0; }
    kill -TERM "$pid" 2> /dev/null
    wait_until 5 pid_gone "$pid" || { kill -KILL "$pid" 2> /dev/null; wait_until 5 pid_gone "$pid"; }
    rm -f "$XK_LAB_DIR/qemu.pid" "$XK_LAB_DIR"/*.sock "$XK_LAB_DIR"/{channel,monitor}.{in,out}
    rm -rf "$share/run"
}
pid_gone() { ! kill -0 "$1" 2> /dev/null || grep -q '^State:.Z' "/proc/$1/status" 2> /dev/null; }
