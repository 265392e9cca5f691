# SPDX-License-Identifier: MIT
# A stub domain with a disk and a network is saved and restored by xl, several times, while it uses both: on Linux' back ends and on
# ours in a stub domain. Its requests go on where they stood, its network with the address that it had.
. tests/lab/lib/tap.sh
export XK_LAB_CACHE="${XK_LAB_CACHE:-${XK_LAB_DIR:-$build/lab}/cache}" XK_LAB_QUIET=1
XK_LAB_DIR=$tmp/lab
export XK_LAB_DIR
trap '$lab down > /dev/null 2>&1; rm -rf "$tmp"' EXIT
turns=2
[ -z "${XK_LONG:-}" ] || turns=8

# A service that does both: what tests/e2e/lib/disk_user.lua and net_user.lua do.
cat > "$tmp/both.lua" << 'LUA'
local block, task = require "xenkit.block", require "xenkit.task"
return {
  summary = "Uses a disk and a network, and is moved meanwhile.",
  start = function(ctx)
    local function tell(name, value) ctx.store:write("data/" .. name, value) end
    local resumes = 0
    function ctx.on_resume() resumes = resumes + 1; tell("resumes", resumes) end
    local disk, net = ctx.disk.xvda, ctx.net[0]
    assert(disk:wait(20))
    local address = assert(net:up(20))
    tell("address", address)
    local to = net:lease().server
    task.spawn(function()
      local got, lost = 0, 0
      while true do
        if net:ping(to, 0.5, 2000) then got = got + 1 else lost = lost + 1 end
        tell("pings", got .. " " .. lost)
        tell("now", (net:address()))
        task.sleep(0.02)
      end
    end)
    local round, wrong = 0, 0
    while true do
      round = round + 1
      local writers = {}
      for w = 0, 15 do
        writers[#writers + 1] = task.spawn(function() return disk:write(w * 8192, ("%08d"):format(round * 16 + w):rep(1024)) end)
      end
      for _, w in ipairs(writers) do assert(w:join()) end
      assert(disk:flush())
      local all = assert(disk:read(0, 16 * 8192))
      for w = 0, 15 do
        if all:sub(w * 8192 + 1, w * 8192 + 8192) ~= ("%08d"):format(round * 16 + w):rep(1024) then wrong = wrong + 1 end
      end
      tell("wrong", wrong)
      tell("round", round)
    end
  end,
}
LUA
"$build/xenkit" build "$tmp/both.lua" -o "$tmp/both" --as /h/both --name both -m 16 > "$tmp/built" 2>&1
"$build/xenkit" build scripts/services/disk.lua -o "$tmp/diskdrv" --as /h/diskdrv --name diskdrv -m 32 >> "$tmp/built" 2>&1
"$build/xenkit" build scripts/services/net.lua address=10.8.0.1/24 dhcp=10.8.0.100-10.8.0.150 -o "$tmp/netdrv" \
    --as /h/netdrv --name netdrv -m 32 >> "$tmp/built" 2>&1
ok $? "three images: $(grep -c . "$tmp/built") lines"

saved() { # NAME DISK-LINE VIF-LINE
    sed "s/^name = .*/name = \"$1\"/" "$tmp/both/both.cfg" > "$tmp/$1.cfg"
    printf "disk = ['%s']\nvif = ['%s']\n" "$2" "$3" >> "$tmp/$1.cfg"
    $lab put "$tmp/$1.cfg"
    out=$($lab run -t 110 "sh /h/save_dom0.sh $1 $turns")
    n=$(echo "$out" | grep -c 'resumed 0 disk 0 wrong 0 net 0 same yes')
    [ "$n" = $turns ] || { echo "# $out"; $lab run "tail -n 20 /var/log/xen/console/guest-$1.log; tail -n 12 /var/log/xen/xl-$1.log; xl dmesg | grep xk-crash | head -n 40" | sed 's/^/# /'; false; }
    ok $? "$1: saved and restored $turns times at work: $(echo "$out" | tail -n 1)"
}

$lab up > "$tmp/err" 2>&1 || { cat "$tmp/err"; ok 1 "the lab comes up"; finish; }
$lab put "$tmp/both" "$tmp/diskdrv" "$tmp/netdrv" tests/lab/lib/save_dom0.sh
$lab run 'dd if=/dev/zero of=/tmp/a.img bs=1M count=4 2> /dev/null; brctl addbr xenbr1; ip link set xenbr1 up; ip addr add 10.7.0.1/24 dev xenbr1
    printf "start 10.7.0.100\nend 10.7.0.120\ninterface xenbr1\nlease_file /tmp/leases\noption subnet 255.255.255.0\n" > /tmp/udhcpd.conf
    touch /tmp/leases; udhcpd -S /tmp/udhcpd.conf'
saved linux "format=raw,vdev=xvda,access=w,script=block-lab,backendtype=phy,target=/tmp/a.img" "mac=00:16:3e:00:05:01,bridge=xenbr1,script=vif-lab"
# Memory of the one that serves would be gone with the first save: it passes on a disk of dom0's.
$lab run 'dd if=/dev/zero of=/tmp/b.img bs=1M count=4 2> /dev/null
    echo "disk = [\"format=raw,vdev=xvdb,access=w,script=block-lab,backendtype=phy,target=/tmp/b.img\"]" >> /h/diskdrv/diskdrv.cfg'
$lab run 'xl create -q /h/diskdrv/diskdrv.cfg > /dev/null 2>&1; xl create -q /h/netdrv/netdrv.cfg > /dev/null 2>&1; sleep 0.5; xl list' | grep -c drv | grep -q 2
ok $? "stub domains that serve disks and networks"
saved ours "format=raw,vdev=xvda,access=w,backend=diskdrv,backendtype=phy,target=vbd:xvdb" "mac=00:16:3e:00:05:02,backend=netdrv"
finish
