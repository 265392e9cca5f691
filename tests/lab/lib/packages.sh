# SPDX-License-Identifier: MIT
# Fetches the lab's Debian packages and unpacks them into the cache. Nothing is installed and no maintainer script
# runs, so the machine never takes itself for a Xen host. The list is explicit: what xl and the stores need, a
# busybox, a kernel. The C library and a few common libraries are this machine's own (Debian 12), see build.sh.
# tools.sh has a second set, which few tests need.
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

# base_names APT-OPTION... - the packages of the first set.
base_names() {
    local kernel
    kernel=$(kernel_package "$@")
    [ -n "$kernel" ] && echo "$lab_packages $kernel"
}

# download FOLDER NAMES APT-OPTION... - the packages that the function NAMES tells into the current directory.
download() {
    local folder=$1 names
    names=$("$2" "${@:3}") || return 1
    # shellcheck disable=SC2086
    timeout 600 apt-get "${@:3}" -q -o Acquire::Retries=2 download $names > "$folder/log" 2>&1
}

# Lists of our own, for the case that the machine's are missing or too old. Needs no root.
own_lists() {
    local dir=$XK_LAB_CACHE/apt
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    apt_options=(-o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache")
    timeout 300 apt-get "${apt_options[@]}" -q update > "$dir/log" 2>&1
}

# fetch_set FOLDER ROOT NAMES WANTED WHAT - the packages that NAMES tells, unpacked to ROOT. In FOLDER stands what was
# fetched (`list`) and for which WANTED (`done`).
fetch_set() {
    local folder=$1 root=$2 names=$3 wanted=$4 start deb apt_options
    ! fetched "$folder" "$wanted" || return 0
    start=$(now_ms)
    rm -rf "$folder"
    mkdir -p "$folder"
    cd "$folder" || exit 1
    say "fetching $5 ..."
    if ! download "$folder" "$names"; then
        say "the package lists are missing or old; fetching lists of our own ..."
        rm -f ./*.deb
        if ! { own_lists && download "$folder" "$names" "${apt_options[@]}"; }; then
            cannot "the Debian packages could not be fetched: $(tail -n 1 "$folder/log")"
        fi
    fi
    rm -rf "$root"
    mkdir -p "$root"
    for deb in ./*.deb; do dpkg-deb -x "$deb" "$root" || die "cannot unpack $deb"; done
    for deb in ./*.deb; do echo "${deb#./}"; rm -f "$deb"; done | sort > "$folder/list"
    echo "$wanted" > "$folder/done"
    say "fetched $(wc -l < "$folder/list") packages in $(seconds_since "$start")"
}

fetched() { [ "$(cat "$1/done" 2> /dev/null)" = "$2" ]; } # FOLDER WANTED

# ensure_set FOLDER ROOT NAMES WANTED WHAT - as fetch_set, one at a time.
ensure_set() {
    fetched "$1" "$4" || (with_lock "$XK_LAB_CACHE/lock" 900 fetch_set "$@") || exit $?
}

ensure_packages() {
    ensure_set "$packages_dir" "$unpacked" base_names "$lab_packages" "Xen 4.17, its tools and a kernel (80 MB)"
}
