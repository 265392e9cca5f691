-- Stub domains: the kernel and the images that boot on it, beside Debian's kernel with busybox. Sizes; instructions
-- from the kernel's entry to the first line and the smallest memory, in plain QEMU; the rest on real Xen, see
-- stub_lab.lua.
--
-- Instructions are counted by the time-stamp counter, which under `-icount shift=0,sleep=off` moves by one with each
-- instruction. Ours has the counter at its entry in its statistics. Linux has not; it comes to its entry from the same
-- firmware by the same loader (QEMU's for PVH), so ours is subtracted. When nothing runs the counter jumps to the next
-- timer: ours does not wait before its first line; for Linux QEMU's own count (query-replay) was the same within 0.5 %.
--
-- The peer is given what saves it work: an unpacked kernel, no PCI, no self-tests, the frequencies that it would
-- measure, one program and one script for a file system. SPDX-License-Identifier: MIT
local tools = require("tools")

-- Ends in plain QEMU, where there is no store; stays on Xen. Lines with first= are what the readers wait for.
local SERVICE = [[
local stub = require "xenkit.core.stub"
return { start = function(ctx)
  local now, entry = stub.tsc(), stub.stats().entry_tsc
  print(("first=%d start=%d entry=%d"):format(ctx.first_line - entry, now - entry, entry))
  if not ctx.store then return end
  local task = require "xenkit.task"
  local from, at = stub.tsc(), ctx.world:now()
  task.sleep(0.05)
  print(("rate=%.0f"):format((stub.tsc() - from) / (ctx.world:now() - at)))
  task.sleep(1e6)
end }
]]

-- What busybox does: its first line, the counter again, how long the kernel says it is up, and, on Xen, nothing more.
local RUN = [[
echo first line
/init
/bin/busybox mount -t proc proc /proc
read -r up _ < /proc/uptime
read -r words < /proc/cmdline
echo "uptime=$up"
case $words in *stay*) exec /bin/busybox sleep 1000000 ;; esac
/bin/busybox poweroff -f
]]

local ours = { words = "tsc_hz=1000000000",
  options = "-debugcon stdio -device isa-debug-exit,iobase=0xf4,iosize=1" }
local linux = { options = "-serial stdio", words = "console=ttyS0 quiet loglevel=1 panic=-1 pci=off cryptomgr.notests"
  .. " tsc_early_khz=1000000 lpj=4000000" }

-- Boots it with so much memory; what it writes.
local function boot(guest, mib)
  return (tools.sh(string.format("timeout -k 2 60 qemu-system-x86_64 -nodefaults -no-user-config -M pc -accel tcg"
    .. " -cpu max -m %d -display none -no-reboot %s -icount shift=0,sleep=off -kernel %s -initrd %s -append %s 2>&1"
    .. " </dev/null", mib, guest.options, guest.kernel, guest.initrd, tools.quote(guest.words))))
end

-- The smallest number for which works() says yes, from above (bad); (good) is a guess.
local function smallest(works, bad, good)
  while not works(good) do
    bad, good = good, good * 2
    if good > 1024 then return nil end
  end
  while good - bad > 1 do
    local middle = (bad + good) // 2
    if works(middle) then good = middle else bad = middle end
  end
  return good
end

local function smallest_memory(guest, bad, good)
  return smallest(function(mib) return boot(guest, mib):find("%f[^\n\0]first") ~= nil end, bad, good)
end

-- --- what is measured ---

local function build(dir, script, form)
  local path, target = tools.root .. "/build/xenkit", dir .. "/" .. form
  local out, ok = tools.sh(tools.words(path, "build", script, "--form", form, "--name", form, "-o", target, "--as",
    "/h/" .. form) .. " 2>&1")
  if not ok then tools.fail("xenkit build says: %s", out:sub(1, 300)) end
  return { kernel = target .. "/xenkit-kernel", initrd = target .. "/" .. form .. ".img", words = ours.words,
    options = ours.options, dir = target }
end

-- The lab's kernel, unpacked and as packed by Debian, and its busybox. nil and the reason.
local function peer(dir)
  local init, why = tools.program("stub_init")
  if not init then return nil, why end
  local lab = require("stub_lab").command()
  local said, ok = tools.sh(lab .. " build 2>&1")
  local images = said:match("(/[^\n]*)\n$")
  if not ok or not images then return nil, "skipped: " .. said:gsub("%s*$", "") end
  local root, tree = images:match("^(.*)/") .. "/root", dir .. "/tree"
  tools.sh(string.format("mkdir -p %s/bin %s/proc && cp %s/bin/busybox %s/bin/ && cp %s %s/init", tree, tree, root,
    tree, init, tree))
  tools.write(tree .. "/run", RUN)
  local initrd = dir .. "/linux.cpio"
  local _, packed = tools.sh(string.format("cd %s && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet > %s",
    tree, initrd))
  if not packed then return nil, "skipped: install cpio" end
  return { kernel = images .. "/vmlinux", initrd = initrd, words = linux.words, options = linux.options,
    packed = tools.sh("ls " .. root .. "/boot/vmlinuz-*"):match("[^\n]+") }
end

local function size(path, packed)
  if not path then return {} end
  local n = tools.sh((packed and "gzip -9c " or "cat ") .. tools.quote(path) .. " | wc -c")
  return { { bytes = tonumber(n) or tools.fail("no size of %s", path) } }
end

-- domain-full has SQLite; OpenSSL is in a test program of its own until tls joins the domain's.
local function with_openssl(dir)
  local program = tools.root .. "/build/guest/openssl"
  if not tools.exists(program) then return nil end
  local _, ok = tools.sh(tools.words("strip", "-o", dir .. "/openssl", program) .. " 2>&1")
  return ok and dir .. "/openssl" or nil
end

local function sizes(out, dir, domains, other)
  local function row(title, path, packed, theirs, name)
    out.row({ workload = title, unit = "B", key = "bytes", ours = size(path, packed), theirs = theirs,
      lower_is_better = true, peer = theirs[1] and name })
  end
  local kernel = tools.root .. "/build/xenkit-kernel.boot"
  row("kernel (goal 24 KiB)", kernel, false, size(other and other.kernel), "vmlinux")
  row("kernel, packed", kernel, true, size(other and other.packed), "bzImage")
  for _, d in ipairs(domains) do
    row(d.name, d.path, false, size(other and other.initrd), "busybox initramfs")
    row(d.name .. ", packed", d.path, true, size(other and other.initrd, true), "busybox initramfs")
  end
  local openssl = with_openssl(dir)
  if openssl then row("OpenSSL's checks, alone", openssl, false, size(other and other.initrd), "busybox initramfs") end
end

-- Samples: first = the first line of Lua or of /init, start = the service's function start or busybox' first line.
local function counts(guest, mib, rounds, entry)
  local samples = {}
  for i = 1, rounds do
    local said = boot(guest, mib)
    local first, start, at = said:match("first=(%d+) start=(%d+) entry=(%d+)")
    if entry then
      first, start = said:match("tsc=(%d+)%s+first line%s+tsc=(%d+)")
      first, start = first and first - entry, start and start - entry
    end
    if not start then tools.fail("it does not come to its first line in QEMU; it says: %s", said:sub(1, 300)) end
    samples[i] = { first = tonumber(first), start = tonumber(start), entry = tonumber(at) }
  end
  return samples
end

local function instructions(out, domains, other)
  local theirs
  for _, d in ipairs(domains) do
    local samples = counts(d, 16, tools.quick and 2 or 5)
    theirs = theirs or other and counts(other, 256, tools.quick and 1 or 3, samples[1].entry)
    local function row(title, key, name)
      out.row({ workload = title .. d.form, unit = "instr", key = key, ours = samples, theirs = theirs,
        lower_is_better = true, goal = 1 / 50, peer = theirs and name })
    end
    row(d.form == "core" and "to Lua (goal 600 k), " or "to the first line of Lua, ", "first", "Linux to /init")
    row("to the service's start(), ", "start", "Linux to busybox")
  end
end

local function memory(out, domains, other)
  local theirs = other and smallest_memory(other, 64, 96)
  for _, d in ipairs(domains) do
    d.smallest = smallest_memory(d, 1, d.goal)
    out.row({ workload = string.format("smallest memory, %s (goal %d)", d.form, d.goal), unit = "MiB", key = "mib",
      ours = { { mib = d.smallest } }, theirs = { { mib = theirs } }, lower_is_better = true,
      goal = d.form == "core" and 1 / 20 or nil, peer = theirs and "Linux + busybox" })
  end
  if other then other.smallest = theirs end
end

return function(out)
  for _, name in ipairs({ "xenkit", "xenkit-kernel.boot", "xenkit-domain-core.boot", "xenkit-domain.boot" }) do
    if not tools.exists(tools.root .. "/build/" .. name) then
      return out.note("stub", "skipped: build/" .. name .. " is not built")
    end
  end
  local dir = tools.temp()
  local script = tools.write(dir .. "/first.lua", SERVICE)
  local core, full = build(dir, script, "core"), build(dir, script, "full")
  core.form, core.name, core.path, core.goal = "core", "domain-core", tools.root .. "/build/xenkit-domain-core.boot", 4
  full.form, full.name, full.path, full.goal = "full", "domain-full", tools.root .. "/build/xenkit-domain.boot", 16
  local other, why = peer(dir)
  if not other then out.note("stub, the peer", why) end
  sizes(out, dir, { core, full }, other)
  if tools.which("qemu-system-x86_64") then
    instructions(out, { core, full }, other)
    memory(out, { core, full }, other)
  else
    out.note("stub, instructions and memory", "skipped: install qemu-system-x86")
  end
  require("stub_lab").measure(out, { core = core, full = full, linux = other, script = script }, smallest)
end
