# SPDX-License-Identifier: MIT
# Makes from the unpacked packages what QEMU boots: the hypervisor and the kernel as plain ELF files (unpacking them
# inside the emulator costs seconds), and the file trees of dom0 and of Linux guests as cpio archives. The result lies
# in a folder of the cache that is named by a hash of all inputs, together with the snapshots that are made of it.
# shellcheck shell=bash disable=SC2154

lab_source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

dom0_tools="xl xenstored oxenstored xenconsoled xenconsole xenstore-control vchan-socket-proxy init-xenstore-domain
xen-init-dom0 lsevtchn libxl-save-helper xenctx xen-hvmctx readnotes test-xenstore xentop xen-diag"
domu_tools="vchan-socket-proxy lsevtchn test-xenstore"
store_tools="chmod exists list ls read rm watch write"
dom0_modules="virtio_pci virtio_console 9pnet_virtio 9p xen-privcmd xenfs xen-evtchn xen-gntdev xen-gntalloc xen-blkback
xen-netback loop bridge virtio_net"
domu_modules="xenfs xen-evtchn xen-gntdev xen-gntalloc xen-blkfront xen-netfront 9pnet_xen 9p xen-privcmd"

image_key() {
    { cat "$packages_dir/list"; cd "$lab_source" && cat lib/build.sh dom0/* domu/*; } | sha256sum | cut -c 1-16
}

# extract_kernel BZIMAGE ELF - the payload's place stands in the boot header (Linux: Documentation/x86/boot.rst).
extract_kernel() {
    local sectors offset length
    sectors=$(od -An -tu1 -j $((0x1f1)) -N 1 "$1")
    offset=$(od -An -tu4 -j $((0x248)) -N 4 "$1")
    length=$(od -An -tu4 -j $((0x24c)) -N 4 "$1")
    dd if="$1" bs=64K iflag=skip_bytes,count_bytes skip=$(((sectors + 1) * 512 + offset)) count=$((length - 4)) \
        status=none | xz -dc > "$2"
}

# copy_libraries TREE FILE... - what the FILEs are linked with, from the packages where they have it, else this
# machine's.
libraries_at=$unpacked/usr/lib/x86_64-linux-gnu:$unpacked/lib/x86_64-linux-gnu
copy_libraries() {
    local tree=$1 library
    shift
    LD_LIBRARY_PATH=$libraries_at ldd "$@" 2> /dev/null |
        sed -n 's/.*=> \(\/[^ ]*\).*/\1/p' | sort -u | while read -r library; do
            cp -L "$library" "$tree/lib/x86_64-linux-gnu/"
        done
    cp -L /lib64/ld-linux-x86-64.so.2 "$tree/lib64/"
    cp -L /lib/x86_64-linux-gnu/libgcc_s.so.1 "$tree/lib/x86_64-linux-gnu/" # loaded by name when a thread is ended
}

# find_modules - sets $modules, the folder of the kernel's, and $release, its name.
find_modules() {
    modules=$(echo "$unpacked"/lib/modules/*)
    release=${modules##*/}
}

# copy_modules TREE NAME... - the named kernel modules and all that they depend on, stripped.
copy_modules() {
    local tree=$1 names wanted="" name file
    shift
    names="$*"
    while [ -n "$names" ]; do
        name=${names%% *}
        names=${names#"$name"}; names=${names# }
        case " $wanted " in *" $name "*) continue ;; esac
        wanted="$wanted $name"
        file=$(find "$modules" -name "$name.ko" -o -name "${name//_/-}.ko" | head -n 1)
        [ -n "$file" ] || continue # built in
        strip --strip-debug -o "$tree/lib/modules/$release/${file##*/}" "$file"
        objcopy -O binary --only-section=.modinfo "$file" "$work/modinfo" && [ -s "$work/modinfo" ] ||
            die "objcopy finds no .modinfo in $file"
        names="$names $(tr '\0' '\n' < "$work/modinfo" | sed -n 's/^depends=//p' | tr ',' ' ')"
        names=${names# }; names=${names% }
    done
    "$unpacked/bin/busybox" depmod -b "$tree" "$release" || die "depmod fails"
}

# new_tree TREE - folders, busybox under all its names, the xenstore tools.
new_tree() {
    local tree=$1 tool
    mkdir -p "$tree"/{bin,etc,proc,sys,dev,tmp,run,root,mnt,lab,lib64,lib/x86_64-linux-gnu,usr/bin,var/log} \
        "$tree/lib/modules/$release" "$tree/usr/lib/$xen/bin"
    ln -s ../run "$tree/var/run"
    ln -s ../run/lock "$tree/var/lock"
    ln -s "$xen" "$tree/usr/lib/xen"
    ln -s ../lib/x86_64-linux-gnu "$tree/usr/lib/x86_64-linux-gnu"
    cp "$unpacked/bin/busybox" "$tree/bin/"
    "$unpacked/bin/busybox" --list | grep -vx busybox | while read -r tool; do ln -s busybox "$tree/bin/$tool"; done
    for tool in $store_tools; do cp "$unpacked/usr/bin/xenstore-$tool" "$tree/usr/bin/"; done
    cp "$modules/modules.builtin" "$modules/modules.order" "$tree/lib/modules/$release/"
    echo 'root:x:0:0:root:/root:/bin/sh' > "$tree/etc/passwd"
}

# copy_scripts NAME TREE - tests/lab/NAME: its scripts to /lab, the configuration of init and shell to /etc.
copy_scripts() {
    cp "$lab_source/$1"/* "$2/lab/"
    chmod 755 "$2/lab"/*
    mv "$2/lab/inittab" "$2/lab/profile" "$2/etc/"
    ln -s bin/busybox "$2/init"
}

# pack TREE FILE
pack() {
    (cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet) > "$2" || die "cpio fails"
}

build_domu() {
    local tree=$work/domu tool
    new_tree "$tree"
    for tool in $domu_tools; do cp "$unpacked/usr/lib/$xen/bin/$tool" "$tree/usr/lib/$xen/bin/"; done
    copy_libraries "$tree" "$tree/usr/lib/$xen/bin"/* "$tree/usr/bin"/*
    # shellcheck disable=SC2086
    copy_modules "$tree" $domu_modules
    echo "$domu_modules" | tr ' ' '\n' > "$tree/lab/modules"
    copy_scripts domu "$tree"
    pack "$tree" "$work/domu.cpio"
}

build_dom0() {
    local tree=$work/dom0 tool
    new_tree "$tree"
    for tool in $dom0_tools; do cp "$unpacked/usr/lib/$xen/bin/$tool" "$tree/usr/lib/$xen/bin/"; done
    copy_libraries "$tree" "$tree/usr/lib/$xen/bin"/* "$tree/usr/bin"/*
    # shellcheck disable=SC2086
    copy_modules "$tree" $dom0_modules
    echo "$dom0_modules" | tr ' ' '\n' > "$tree/lab/modules"
    mkdir -p "$tree"/{boot,h,host} "$tree/etc/xen/scripts" "$tree/var/lib/xen" "$tree/var/lib/xenstored" \
        "$tree/var/log/xen/console"
    copy_scripts dom0 "$tree"
    mv "$tree/lab"/*-lab "$tree/etc/xen/scripts/"
    mv "$tree/lab"/*.conf "$tree/etc/xen/"
    cp "$work/vmlinux" "$work/domu.cpio" "$tree/boot/"
    pack "$tree" "$work/dom0.cpio"
}

build_images() {
    local start work modules release xen
    start=$(now_ms)
    say "building the images of dom0 and of guests ..."
    work=$images.tmp
    rm -rf "$work"
    mkdir -p "$work"
    find_modules
    xen=$(basename "$(echo "$unpacked"/usr/lib/xen-*)")
    gzip -dc "$unpacked"/boot/xen-*-amd64.gz > "$work/xen.elf" || die "no hypervisor in the packages"
    extract_kernel "$unpacked/boot/vmlinuz-$release" "$work/vmlinux" || die "cannot unpack the kernel"
    build_domu
    build_dom0
    rm -rf "$work/dom0" "$work/domu" "$work/modinfo"
    mv "$work" "$images"
    # Images of older inputs go, but for the newest: another lab may just be starting from it.
    # shellcheck disable=SC2012
    ls -dt "$XK_LAB_CACHE"/images-* | tail -n +3 | while read -r old; do rm -rf "$old"; done
    say "built in $(seconds_since "$start")"
}

build_unless_there() { [ -d "$images" ] || build_images; }

# ensure_images - sets $images, the folder.
ensure_images() {
    need_tools cpio xz gzip ldd strip objcopy flock dpkg-deb apt-get
    ensure_packages
    images=$XK_LAB_CACHE/images-$(image_key)
    [ -d "$images" ] || (with_lock "$XK_LAB_CACHE/lock" 300 build_unless_there) || exit $?
}
