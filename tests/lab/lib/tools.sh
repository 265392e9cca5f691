# SPDX-License-Identifier: MIT
# What few tests need in their Linux guests: ext4, e2fsprogs, fio, iperf3. A second set of packages and an archive of its
# own, which `scripts/lab guest --tools` lays over domu.cpio, so that other guests are as small and start as fast as ever.
# shellcheck shell=bash disable=SC2034,SC2154

tool_packages="e2fsprogs libext2fs2 libcom-err2 libss2 libblkid1 fio libaio1 libnuma1 iperf3 libiperf0 libsctp1 libssl3"
tool_programs="sbin/mke2fs sbin/e2fsck usr/bin/fio usr/bin/iperf3"
tool_modules="crc32c_generic ext4"

# Debian's fio is linked with clients of network storage, 80 MB with all that these need. No test of ours uses them: in
# their place stand libraries that have the functions which fio asks for, and end the program if one is called. Of each the
# name and how its functions begin.
tool_stand_ins="libgfapi.so.0:glfs_ libnbd.so.0:nbd_ libibverbs.so.1:ibv_ librdmacm.so.1:rdma_ librados.so.2:rados_
librbd.so.1:rbd_ libpmemblk.so.1:pmemblk_ libpmem.so.1:pmem_"

tools_dir=$XK_LAB_CACHE/tools
tools_root=$tools_dir/root

tool_names() { echo "$tool_packages"; }

tools_key() { cat "$packages_dir/list" "$tools_dir/packages/list" "$lab_source"/lib/{tools,build}.sh | sha256sum | cut -c 1-16; }

# stand_in PROGRAM LIBRARY PREFIX - to $work/stand-ins.
stand_in() {
    local library=$work/stand-ins/$2
    # name, version; "-" when it has none
    readelf -W --dyn-syms "$1" | awk -v prefix="$3" '$7 == "UND" && index($8, prefix) == 1 {
        n = split($8, part, "@"); print part[1], (n > 1 ? part[n] : "-") }' | sort -u > "$library.names"
    [ -s "$library.names" ] || die "$1 asks for no function of $2"
    awk '{ print "void " $1 "(void) { __builtin_trap(); }" }' "$library.names" > "$library.c"
    awk '$2 != "-" { of[$2] = of[$2] $1 "; " } END { for (v in of) print v " { global: " of[v] "};" }' \
        "$library.names" > "$library.map"
    [ -s "$library.map" ] || echo '{ global: *; };' > "$library.map"
    "${CC:-cc}" -shared -nostdlib -fPIC -Wl,-soname,"$2" -Wl,--version-script,"$library.map" -o "$library" "$library.c" ||
        die "no stand-in for $2"
}

build_tools() {
    local start work modules release tree item file libraries_at=$libraries_at
    ! [ -e "$tools" ] || return 0
    start=$(now_ms)
    work=$tools_dir/work tree=$work/tree
    find_modules
    rm -rf "$work"
    mkdir -p "$work/stand-ins" "$tree/etc" "$tree/lab" "$tree/lib64" "$tree/lib/x86_64-linux-gnu" "$tree/usr/bin" \
        "$tree/lib/modules/$release"
    for item in $tool_stand_ins; do stand_in "$tools_root/usr/bin/fio" "${item%:*}" "${item#*:}"; done
    for file in $tool_programs; do cp "$tools_root/$file" "$tree/usr/bin/"; done
    libraries_at=$work/stand-ins:$tools_root/usr/lib/x86_64-linux-gnu:$tools_root/lib/x86_64-linux-gnu:$libraries_at
    LD_LIBRARY_PATH=$libraries_at "$tree/usr/bin/fio" --version > "$work/log" 2>&1 || die "fio does not start: $(cat "$work/log")"
    copy_libraries "$tree" "$tree/usr/bin"/*
    ln -s mke2fs "$tree/usr/bin/mkfs.ext4"
    ln -s e2fsck "$tree/usr/bin/fsck.ext4"
    cp "$tools_root/etc/mke2fs.conf" "$tree/etc/"
    # shellcheck disable=SC2086
    copy_modules "$tree" $domu_modules $tool_modules # the base's too, since the index of modules is replaced
    pack "$tree" "$tools.part"
    mv "$tools.part" "$tools"
    rm -rf "$work"
    # Those of older inputs go, but for the newest: another lab may just be reading it.
    # shellcheck disable=SC2012
    ls -t "$tools_dir"/*.cpio | tail -n +3 | while read -r file; do rm -f "$file"; done
    say "built the guests' tools in $(seconds_since "$start")"
}

# ensure_tools - sets $tools, the archive.
ensure_tools() {
    need_tools cpio ldd strip objcopy readelf flock dpkg-deb apt-get "${CC:-cc}"
    ensure_packages
    ensure_set "$tools_dir/packages" "$tools_root" tool_names "$tool_packages" "file system tools, fio and iperf3 (4 MB)"
    tools=$tools_dir/$(tools_key).cpio
    [ -e "$tools" ] || (with_lock "$XK_LAB_CACHE/lock" 300 build_tools) || exit $?
}
