-- Stub domains and a Linux guest on real Xen, in the lab (scripts/lab: Xen in QEMU's software emulation): the smallest
-- memory=, what an idle domain takes, how long a start takes. A lab of its own, with the shared cache of images.
--
-- Counts of memory and of processor time are Xen's and exact. Times are those of an emulated machine on a shared one:
-- they compare with each other only. About one start in 70 dies by a known fault of the emulator and is tried again.
-- SPDX-License-Identifier: MIT
local tools = require("tools")

local M = {}

local IDLE, SECONDS = 10, 10 -- domains; how long
local LINUX = 160 -- MiB, of the guest that is timed
local PATIENCE = 20 -- seconds, with ours
local WORDS = "console=hvc0 quiet loglevel=1 panic=-1 pci=off cryptomgr.notests stay"

local dir
local faults = 0

-- scripts/lab, with our own directory.
function M.command()
  dir = dir or tools.temp()
  return string.format("cd %s && XK_LAB_QUIET=1 XK_LAB_DIR=%s/lab XK_LAB_CACHE=%s scripts/lab", tools.quote(tools.root),
    dir, tools.quote(os.getenv("XK_LAB_CACHE") or tools.root .. "/build/lab/cache"))
end

local function lab(...) return tools.sh(M.command() .. " " .. tools.words(...) .. " 2>&1") end

local function run(seconds, ...)
  return lab("run", "-t", tostring(seconds), tools.words("sh", "/h/stub_dom0.sh", ...))
end

-- --- domains ---

local function destroy(name) lab("run", "xl destroy " .. name .. " 2> /dev/null; sleep 0.3") end

-- The words that create it. What `xl` takes beside the file overrides what stands in it.
local function xl(file, name, mib) return { "xl", "create", "-q", file, 'name="' .. name .. '"', "memory=" .. mib } end

-- Starts it. @return what it told, as a table, with create and shown in nanoseconds; nil and what was said
local function start(name, seconds, command)
  local said
  for _ = 1, 3 do
    said = run(seconds + 60, "start", name, tostring(seconds), table.unpack(command))
    local r = { create = tonumber(said:match("create=(%d+)")), shown = tonumber(said:match("shown=(%d+)")) }
    if r.create then
      r.create, r.shown = r.create * 1e7, r.shown * 1e7
      local rate = tonumber(said:match("rate=(%d+)"))
      if rate then
        r.first, r.start = said:match("first=(%d+) start=(%d+)")
        r.first, r.start = r.first / rate * 1e9, r.start / rate * 1e9
      else
        r.start = (tonumber(said:match("uptime=([%d.]+)")) or 0) * 1e9
      end
      return r
    end
    if not said:find("emulator=fault", 1, true) then break end
    faults = faults + 1
    destroy(name)
  end
  destroy(name)
  return nil, said
end

local function must_start(...)
  local r, said = start(...)
  return r or tools.fail("a domain does not start: %s", said:sub(1, 500))
end

-- --- what is measured ---

local function smallest_memory(out, guests, smallest)
  local theirs
  local function find(file, bad, good, seconds)
    return smallest(function(mib)
      local ok = start("small", seconds, xl(file, "small", mib))
      if ok then destroy("small") end
      return ok
    end, bad, good)
  end
  if guests.linux then
    local guess = guests.linux.smallest or 96
    theirs = find("/h/linux.cfg", guess - 8, guess + 4, 60)
    guests.linux.smallest = theirs
  end
  for _, form in ipairs({ "core", "full" }) do
    local g = guests[form]
    local mine = find("/h/" .. form .. "/" .. form .. ".cfg", 1, g.goal, PATIENCE)
    out.row({ workload = string.format("Xen: memory=, %s (goal %d)", form, g.goal), unit = "MiB", key = "mib",
      ours = { { mib = mine } }, theirs = { { mib = theirs } },
      lower_is_better = true, goal = form == "core" and 1 / 20 or nil, peer = theirs and "Linux + busybox" })
  end
end

-- So many idle domains: Xen's memory that each takes, and the most processor time that one takes over some seconds.
local function idle(file, count, mib, seconds)
  local names, most = {}, 0
  local before = run(60, "idle", "0"):match("free=(%d+)")
  for i = 1, count do
    names[i] = "idle" .. i
    must_start(names[i], seconds, xl(file, names[i], mib))
  end
  lab("run", "sleep 2")
  local said = run(SECONDS + 60, "idle", tostring(SECONDS))
  local memory = (before - said:match("free=(%d+)")) / count
  for _, name in ipairs(names) do
    local times = {}
    for cpu in said:gmatch('{"cpu":([%d.e-]+)[^}]-"name":"' .. name .. '"') do times[#times + 1] = tonumber(cpu) end
    if #times ~= 2 then tools.fail("no processor time of %s in: %s", name, said:sub(1, 300)) end
    most = math.max(most, (times[2] - times[1]) * 1e9)
  end
  lab("run", "for d in " .. table.concat(names, " ") .. "; do xl destroy $d; done; sleep 1")
  return { { cpu = most, mib = memory } }
end

local function idle_domains(out, guests)
  local mine = idle("/h/core/core.cfg", IDLE, 4, PATIENCE)
  local theirs = guests.linux and idle("/h/linux.cfg", 1, guests.linux.smallest or LINUX, 60)
  local peer = theirs and string.format("Linux of %d MiB", guests.linux.smallest or LINUX)
  out.row({ workload = "Xen: memory of an idle domain", unit = "MiB", key = "mib", ours = mine,
    theirs = theirs, lower_is_better = true, peer = peer })
  out.row({ workload = string.format("Xen: its CPU in %d s (goal 0)", SECONDS), unit = "ns", key = "cpu", ours = mine,
    theirs = theirs, lower_is_better = true, peer = peer })
end

local function times(out, guests)
  local create, whole, theirs = {}, {}, {}
  local xenkit = { "env", "LD_LIBRARY_PATH=/h/lib", "XENKIT_RUNTIME_DIR=/tmp", "/h/xenkit", "create", "--on", "xen",
    "/h/first.lua", "--memory", "4", "--name", "whole" }
  for i = 1, tools.quick and 2 or 7 do
    create[i] = must_start("timed", PATIENCE, xl("/h/core/core.cfg", "timed", 4))
    destroy("timed")
    whole[i] = must_start("whole", PATIENCE, xenkit)
    destroy("whole")
    if guests.linux then
      theirs[i] = must_start("timed", 60, xl("/h/linux.cfg", "timed", LINUX))
      destroy("timed")
    end
  end
  local function row(title, key, mine, other, name)
    out.row({ workload = title, unit = "ns", key = key, ours = mine, theirs = other, lower_is_better = true,
      peer = other and other[1] and name })
  end
  row("Xen: xl create", "create", create, theirs, "xl create, Linux")
  row("Xen: xenkit create --on xen", "create", whole, theirs, "xl create, Linux")
  row("Xen: xl create to first output", "shown", create, theirs, "Linux")
  row("Xen: entry to first line of Lua", "first", create)
  row("Xen: entry to start()", "start", create, theirs, "Linux, its uptime")
end

-- --- the lab ---

local function bring_up(guests)
  local said, ok = lab("up")
  if not ok then
    if said:find("cannot be had", 1, true) then error({ skipped = "skipped: " .. said:gsub("%s*$", "") }, 0) end
    tools.fail("the lab does not come up: %s", said:sub(-300))
  end
  local b, files = tools.root .. "/build/", {}
  if guests.linux then
    files = { guests.linux.initrd, tools.write(dir .. "/linux.cfg", string.format('name="linux"\ntype="pvh"\n'
      .. 'kernel="/boot/vmlinux"\nramdisk="/h/linux.cpio"\nmemory=%d\nvcpus=1\ntsc_mode="native"\nextra="%s"\n'
      .. 'on_crash="destroy"\non_reboot="destroy"\n', LINUX, WORDS)) }
  end
  said, ok = lab("put", tools.root .. "/bench/lib/stub_dom0.sh", guests.core.dir, guests.full.dir, guests.script,
    b .. "xenkit", b .. "xenkit-kernel.boot", b .. "xenkit-domain-core.boot", b .. "xenkit-domain.boot",
    table.unpack(files))
  if not ok then tools.fail("no files for the lab: %s", said:sub(-300)) end
end

-- (guests): core, full, linux (may be nil), script; (smallest): the search.
function M.measure(out, guests, smallest)
  local ok, err = pcall(function()
    bring_up(guests)
    smallest_memory(out, guests, smallest)
    idle_domains(out, guests)
    times(out, guests)
    if faults > 0 then out.note("Xen", faults .. " starts again, after the emulator's known fault") end
  end)
  lab("down")
  if not ok and type(err) == "table" and err.skipped then
    out.note("stub on Xen", err.skipped)
  elseif not ok then
    error(err, 0)
  end
end

return M
