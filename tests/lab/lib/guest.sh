# SPDX-License-Identifier: MIT
# Guests: `create` starts any domain from a configuration, `guest` runs one command in a fresh Linux guest. The guest's
# file tree is dom0's /boot/domu.cpio plus an archive made here, with the command, its files and, if asked for, the tools
# of tools.sh; what the command writes comes back through the console, between two marks.
# shellcheck shell=bash disable=SC2154

# create_guest SECONDS FILE WORD... - FILE is a configuration on this machine, "-" for stdin.
create_guest() {
    local seconds=$1 file=$2 config
    shift 2
    need_up
    config=$(mktemp -p "$share" config.XXXXXXXX) || exit 1
    cat -- "$file" > "$config" || { rm -f "$config"; exit 1; }
    local command="/lab/create /host/${config##*/}" item
    for item in "$@"; do command="$command $(word "$item")"; done
    run_in_dom0 "$seconds" "$command"
    local status=$?
    rm -f "$config"
    return $status
}

# make_overlay FOLDER COMMAND MARK FILE... - the archive that is laid over domu.cpio.
make_overlay() {
    local archive=$1/overlay.cpio tree=$1/tree
    mkdir -p "$tree/lab"
    printf '%s\n' "$2" > "$tree/lab/cmd"
    echo "$3" > "$tree/lab/mark"
    shift 3
    copy_with_libraries "$tree/lab" "$@" && pack "$tree" "$archive"
}

# write_config FOLDER NAME TYPE MEMORY LINE... - one vcpu and the native time stamp counter: see docs/lab.md. The last
# words of the kernel line save more than a second of the start.
write_config() {
    local dir=$1 name=$2 type=$3 memory=$4
    shift 4
    cat > "$dir/config" << CONFIG
name = "$name"
type = "$type"
kernel = "/boot/vmlinux"
ramdisk = "/tmp/initrd-$name"
memory = $memory
vcpus = 1
tsc_mode = "native"
extra = "console=hvc0 quiet loglevel=1 panic=-1 pci=off cryptomgr.notests nokaslr"
on_crash = "destroy"
on_reboot = "destroy"
CONFIG
    [ $# = 0 ] || printf '%s\n' "$@" >> "$dir/config"
}

# between MARK LOG - prints what stands between the marks and returns the exit code in the last one; 125 without marks.
between() {
    local begin end code
    begin=$(LC_ALL=C grep -abo -m 1 "^$1 begins" "$2" | head -n 1)
    end=$(LC_ALL=C grep -abo "^$1 ends [0-9]*[.]" "$2" | tail -n 1)
    [ -n "$begin" ] && [ -n "$end" ] || return 125
    begin=$((${begin%%:*} + ${#1} + 8)) # past the line "MARK begins"
    code=${end##* }; code=${code%.}
    end=$((${end%%:*} - 1)) # before the line feed that precedes the mark
    dd if="$2" bs=64K iflag=skip_bytes,count_bytes skip=$begin count=$((end - begin)) status=none
    return "$code"
}

guest_log() { run_in_dom0 60 "cat /var/log/xen/console/guest-$(word "$1").log"; }

show_end() { # of a console log that may hold anything
    echo "lab: the end of its console:" >&2
    tail -c 6000 "$1" | cat -v | tail -n 60 | cut -c 1-200 | sed 's/^/    /' >&2
}

# run_in_guest NAME TYPE MEMORY KEEP SECONDS COMMAND - also uses the arrays files and lines and $tools, an archive or
# nothing, of its caller.
run_in_guest() {
    local name=$1 seconds=$5 stage log mark status
    need_up
    mark=lab-$(od -An -N 6 -tx1 /dev/urandom | tr -d ' \n')
    stage=$(mktemp -d "$share/guest.XXXXXXXX") || exit 1
    log=$stage/log
    make_overlay "$stage" "$6" "$mark" "${files[@]}" || { rm -rf "$stage"; exit 1; }
    [ -z "$tools" ] || cat "$tools" >> "$stage/overlay.cpio" || { rm -rf "$stage"; exit 1; }
    write_config "$stage" "$name" "$2" "$3" "${lines[@]}"
    run_in_dom0 "$seconds" "/lab/guest $(word "$name") $mark $4 /host/${stage##*/}" > "$log"
    status=$?
    if [ $status = 0 ]; then
        between "$mark" "$log"
        status=$?
        [ $status != 125 ] || { echo "lab: the guest ended before its command did" >&2; show_end "$log"; }
    elif [ $status = 124 ]; then
        guest_log "$name" > "$log"
        run_in_dom0 30 "xl destroy $(word "$name")"
        show_end "$log"
    fi
    rm -rf "$stage"
    return "$status"
}
