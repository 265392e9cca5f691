# SPDX-License-Identifier: MIT
# libvirt's libxl driver, unmodified, on our store: a domain's life by virsh. Only in long runs, as it fetches 9 MB of
# Debian packages, which are unpacked beside the lab's cache and never installed.
. tests/lab/lib/tap.sh
[ -n "${XK_LONG:-}" ] || { skip "libvirt's libxl driver" "it fetches packages; XK_LONG=1 runs it"; finish; }
cache="${XK_LAB_CACHE:-${XK_LAB_DIR:-$build/lab}/cache}"
export XK_LAB_CACHE="$cache" XK_LAB_QUIET=1
XK_LAB_DIR=$tmp/lab
export XK_LAB_DIR
trap '$lab down > /dev/null 2>&1; rm -rf "$tmp"' EXIT

packages="libvirt-daemon libvirt-daemon-driver-xen libvirt-clients libvirt0 libparted2 libpcap0.8 libpciaccess0
    libyajl2 libapparmor1 libaudit1 libcap-ng0 libcurl3-gnutls libgnutls30 libnl-3-200 libnl-route-3-200 libnuma1
    libsasl2-2 libselinux1 libssh-4 libssh2-1 libtirpc3 libxml2 libglib2.0-0 libacl1 libblkid1 libdevmapper1.02.1
    libudev1 libreadline8 libtinfo6 libicu72 libffi8 libpcre2-8-0"
root=$cache/libvirt/root

fetch() {
    [ ! -e "$cache/libvirt/done" ] || return 0
    mkdir -p "$cache/libvirt/debs" "$root"
    (cd "$cache/libvirt/debs" && timeout 200 apt-get -q download $packages &&
        for deb in ./*.deb; do dpkg-deb -x "$deb" "$root" || exit 1; done) > "$tmp/fetch" 2>&1 &&
        touch "$cache/libvirt/done"
}

# lib ARCHIVE'S FILE... - the libraries of these programs, from the packages, the lab's Xen, or this machine.
libraries() {
    multiarch=$(uname -m)-linux-gnu
    path=$root/usr/lib/$multiarch:$root/lib/$multiarch:$cache/root/usr/lib/$multiarch:$cache/root/lib/$multiarch
    for file in "$@"; do LD_LIBRARY_PATH=$path ldd "$file" | awk '/=> \// { print $3 }'; done | sort -u
}

# What dom0 sees as /host/lv: too much for its memory.
place() {
    there=$XK_LAB_DIR/share/lv
    driver=$(find "$root" -name libvirt_driver_libxl.so)
    mkdir -p "$there/lib" "$there/driver" &&
        libraries "$root/usr/sbin/libvirtd" "$root/usr/bin/virsh" "$driver" | xargs -I F cp -L F "$there/lib/" &&
        cp "$root/usr/sbin/libvirtd" "$root/usr/bin/virsh" "$there/" && cp "$driver" "$there/driver/" &&
        cp "$root"/usr/share/libvirt/cpu_map/x86_vendors.xml "$root"/usr/share/libvirt/cpu_map/x86_features.xml "$there/"
    cat > "$there/conf" << 'CONF'
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "11111111-2222-4333-8444-555555555555"
log_outputs = "3:file:/tmp/libvirtd.log"
CONF
    # The emulator's processor is like none that libvirt knows.
    echo '<cpus><model name="lab"><decode host="on" guest="on"/><feature name="fpu"/></model></cpus>' > "$there/x86_lab.xml"
    cat > "$there/index.xml" << 'MAP'
<cpus><arch name="x86"><include filename="x86_vendors.xml"/><include filename="x86_features.xml"/>
<include filename="x86_lab.xml"/></arch></cpus>
MAP
    cat > "$there/domain.xml" << 'XML'
<domain type='xen'>
  <name>lv</name>
  <memory unit='MiB'>96</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='xenpvh'>xenpvh</type><kernel>/boot/vmlinux</kernel><initrd>/tmp/initrd-lv</initrd>
    <cmdline>console=hvc0 quiet loglevel=1 panic=-1 pci=off cryptomgr.notests nokaslr</cmdline></os>
  <devices><console type='pty'><target type='xen'/></console></devices>
</domain>
XML
    cat > "$there/v" << 'V'
LD_LIBRARY_PATH=/host/lv/lib timeout 50 /host/lv/virsh -q -c xen:///system "$@" 2>&1
V
}

begin() {
    $lab up --store none > "$tmp/err" 2>&1 || { cat "$tmp/err"; return 1; }
    place || return 1
    $lab put "$build/xenkit" "$build/xenkit-domain" scripts/services/store.lua
    $lab run -t 60 'cd /h; LD_LIBRARY_PATH=/h/lib ./xenkit run --on xen store.lua socket=/var/run/xenstored/socket > /tmp/store.log 2>&1 &
        /lab/store mine
        mkdir -p /usr/share/libvirt/cpu_map /tmp/o/lab /mnt; mv /host/lv/*x86*.xml /host/lv/index.xml /usr/share/libvirt/cpu_map/
        echo "root:x:0:" > /etc/group
        mount -t tmpfs -o size=250m none /mnt
        cd /tmp/o && echo "mkdir -p /sbin; ln -sf /bin/busybox /sbin/poweroff; xenstore-write data/ready 1" > lab/cmd
        echo mark > lab/mark
        find . | cpio -o -H newc 2> /dev/null | cat /boot/domu.cpio - > /tmp/initrd-lv
        cd /host/lv && LD_LIBRARY_PATH=/host/lv/lib LIBVIRT_DRIVER_DIR=/host/lv/driver ./libvirtd -f conf > /tmp/lv.out 2>&1 &
        i=0; until sh /host/lv/v list > /tmp/list && grep -q Domain-0 /tmp/list || [ $i -gt 40 ]; do sleep 0.5; i=$((i + 1)); done
        cat /tmp/list'
}

if ! fetch; then
    tail -n 3 "$tmp/fetch"
    skip "libvirt's libxl driver" "its packages cannot be fetched"
    finish
fi
out=$(begin)
has "$out" "Domain-0"; ok $? "libvirtd starts on our store, and lists dom0"
out=$($lab run -t 200 'v() { sh /host/lv/v "$@"; }
    until_true() { n=0; until "$@" > /dev/null 2>&1; do n=$((n + 1)); [ $n -lt 40 ] || return 1; sleep 0.25; done; }
    node() { xenstore-read "/local/domain/$(xl domid lv)/$1"; }
    v create /host/lv/domain.xml; echo created $?
    until_true node data/ready; echo ready $?
    echo "tty $([ "$(v ttyconsole lv | head -n 1)" = "$(node console/tty)" ] && echo same)"
    v suspend lv; v domstate lv; v resume lv; v domstate lv
    v save lv /mnt/save; echo "saved $? $(xl list | grep -c lv)"
    v restore /mnt/save; echo "restored $? $(v domstate lv)"; rm -f /mnt/save
    sleep 1; v shutdown lv; down() { ! xl list lv; }; until_true down; echo down $?
    v create /host/lv/domain.xml; v destroy lv; echo destroyed $?
    echo "left $(xenstore-ls -f /local/domain | grep -c "\"lv\"") $(v list --all | grep -c lv)"
    grep error /tmp/libvirtd.log | grep -v dmidecode')
printf '%s\n' "$out" | sed 's/^/# /'
has "$out" "created 0" && has "$out" "ready 0"; ok $? "virsh create: the guest comes up and writes to the store"
has "$out" "tty same"; ok $? "virsh ttyconsole is the console's node"
has "$out" "paused
running"; ok $? "virsh suspend and resume"
has "$out" "saved 0 0" && has "$out" "restored 0 running"; ok $? "virsh save and restore"
has "$out" "down 0"; ok $? "virsh shutdown"
has "$out" "destroyed 0" && has "$out" "left 0 0"; ok $? "virsh destroy, and nothing of it is left"
[ "$tap_bad" = 0 ] || $lab run 'cat /tmp/lv.out /tmp/store.log; tail -n 20 /tmp/libvirtd.log /var/log/libvirt/libxl/libxl-driver.log'
finish
