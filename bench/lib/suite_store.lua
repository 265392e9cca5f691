-- Store servers over their unix socket, wire level, against the C xenstored of Xen 4.17 under a shim.
--
-- XK_STORE_CMD starts ours; {socket} is its socket. The peer's package is unpacked into a cache, never installed.
-- SPDX-License-Identifier: MIT
local tools = require("tools")

local default = "build/xenkit run scripts/services/store.lua socket={socket}"
local cache = (os.getenv("XDG_CACHE_HOME") or (os.getenv("HOME") or "/tmp") .. "/.cache") .. "/xenkit/peers"
local libraries = "libxenmisc4.17 libxenevtchn1 libxengnttab1 libxentoollog1 libxentoolcore1 libxencall1"
  .. " libxenforeignmemory1 libxendevicemodel1"

local function unpack_package(names, into)
  local _, ok = tools.sh(string.format("mkdir -p %s/debs %s && cd %s/debs && apt-get download %s >/dev/null 2>&1 "
    .. "&& for p in %s; do dpkg-deb -x $p[_]*.deb %s || exit 1; done", cache, into, cache, names, names, into))
  return ok
end

-- The peer's program and the folder of its libraries; nil and the reason.
local function xenstored()
  local into = cache .. "/xen-utils"
  local program, lib = into .. "/usr/lib/xen-4.17/bin/xenstored", into .. "/usr/lib/x86_64-linux-gnu"
  if not tools.exists(program) and not unpack_package("xen-utils-4.17", into) then
    return nil, "xenstored skipped: cannot download xen-utils-4.17 (apt-get download)"
  end
  local function missing()
    return tools.sh(string.format("LD_LIBRARY_PATH=%s ldd %s 2>&1", lib, program)):find("not found")
  end
  if missing() and (not unpack_package(libraries, into) or missing()) then
    return nil, "xenstored skipped: install libxen-dev"
  end
  return program, lib
end

local function start_peer()
  local program, lib = xenstored()
  local shim, why = tools.program("xenstored_shim.so")
  if not program or not shim then
    return nil, program and why or lib
  end
  local dir = tools.temp()
  local command = string.format("env LD_PRELOAD=%s LD_LIBRARY_PATH=%s XENSTORED_RUNDIR=%s %s -N -F %s/pid", shim, lib,
    dir, program, dir)
  return { pid = tools.serve("xenstored", command, "unix", dir .. "/socket"), socket = dir .. "/socket" }
end

local function start_ours()
  local socket = tools.temp() .. "/socket"
  local command, why = tools.our_command("XK_STORE_CMD", default, { socket = socket })
  if not command then
    return nil, why
  end
  return { pid = tools.serve("our store", command, "unix", socket), socket = socket }
end

local titles = { read = "read 100 B", write = "write 100 B", mkrm = "mkdir + rm", txn = "transaction of 10",
  list = "list 1000 children" }

return function(out)
  local load = tools.need("store_load")
  local servers = tools.start_all(out, "store", { ours = start_ours, peer = start_peer })
  local rounds, ms = tools.quick and 2 or 5, tools.quick and 150 or 250

  local function measure(workload, connections)
    local t = { ours = {}, peer = {} }
    for _ = 1, rounds do
      for name, server in pairs(servers) do
        table.insert(t[name], tools.sample(string.format("%s%s %s %s %s %d %d", tools.on(1), load, server.socket,
          server.pid, workload, connections, ms))[1])
      end
    end
    return t
  end

  local function row(title, t, spec)
    out.row({ workload = title, unit = spec.unit, key = spec.key, ours = t.ours, theirs = t.peer,
      peer = servers.peer and "xenstored 4.17", lower_is_better = spec.lower, goal = spec.goal })
  end

  if not next(servers) then
    return
  end
  for _, workload in ipairs({ "read", "write", "mkrm", "txn", "list" }) do
    for _, connections in ipairs(tools.quick and { 8, 64 } or { 1, 8, 64 }) do
      row(string.format("%s, c%d", titles[workload], connections), measure(workload, connections),
        { unit = "op/s", goal = connections == 64 and (workload == "read" or workload == "write") and 1 or nil })
    end
  end
  for _, watchers in ipairs({ 1, 64 }) do
    local t = measure("watch", watchers)
    for _, key in ipairs({ "p50", "p99" }) do
      row(string.format("watch, %d watchers, %s (lower)", watchers, key), t, { unit = "ns", key = key, lower = true })
    end
  end
end
