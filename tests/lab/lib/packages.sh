# SPDX-License-Identifier: MIT
# Fetches the lab's Debian packages and unpacks them into the cache. Nothing is installed and no maintainer script
# runs, so the machine never takes itself for a Xen host. The list is explicit: what xl and the stores need, a
# busybox, a kernel. The C library and a few common libraries are this machine's own (Debian 12), see build.sh.
# shellcheck shell=bash disable=SC2154

lab_packages="xen-hypervisor-4.17-amd64 xen-utils-4.17 xenstore-utils busybox-static libxenmisc4.17 libxencall1
libxendevicemodel1 libxenevtchn1 libxenforeignmemory1 libxengnttab1 libxenhypfs1 libxenstore4 libxentoolcore1
libxentoollog1 libyajl2 libuuid1 liblzma5 libzstd1 zlib1g"

packages_dir=$XK_LAB_CACHE/packages
unpacked=$XK_LAB_CACHE/root

# The name of the newest kernel image; empty when apt knows none. The "cloud" flavour cannot be dom0.
kernel_package() {
    apt-cache "$@" depends linux-image-amd64 2> /dev/null |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*-amd64\)$/\1/p' | head -n 1
}

# download APT-OPTION... - all packages into the current directory.
download() {
    local kernel
    kernel=$(kernel_package "$@")
    [ -n "$kernel" ] || return 1
    # shellcheck disable=SC2086
    timeout 600 apt-get "$@" -q -o Acquire::Retries=2 download $lab_packages "$kernel" > "$packages_dir/log" 2>&1
}

# Lists of our own, for the case that the machine's are missing or too old. Needs no root.
own_lists() {
    local dir=$XK_LAB_CACHE/apt
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    apt_options=(-o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache")
    timeout 300 apt-get "${apt_options[@]}" -q update > "$dir/log" 2>&1
}

fetch_packages() {
    local start deb apt_options
    start=$(now_ms)
    rm -rf "$packages_dir"
    mkdir -p "$packages_dir"
    cd "$packages_dir" || exit 1
    say "fetching Xen 4.17, its tools and a kernel (80 MB) ..."
    if ! download; then
        say "the package lists are missing or old; fetching lists of our own ..."
        rm -f ./*.deb
        if ! { own_lists && download "${apt_options[@]}"; }; then
            cannot "the Debian packages could not be fetched: $(tail -n 1 "$packages_dir/log")"
        fi
    fi
    rm -rf "$unpacked"
    mkdir -p "$unpacked"
    for deb in ./*.deb; do dpkg-deb -x "$deb" "$unpacked" || die "cannot unpack $deb"; done
    for deb in ./*.deb; do echo "${deb#./}"; rm -f "$deb"; done | sort > "$packages_dir/list"
    echo "$lab_packages" > "$packages_dir/done"
    say "fetched $(wc -l < "$packages_dir/list") packages in $(seconds_since "$start")"
}

fetched() { [ "$(cat "$packages_dir/done" 2> /dev/null)" = "$lab_packages" ]; }

ensure_packages() {
    fetched || (with_lock "$XK_LAB_CACHE/lock" 900 fetch_unless_there) || exit $?
}
fetch_unless_there() { fetched || fetch_packages; }
