-- Store servers over their unix socket, wire level, against the C xenstored of Xen 4.17 under a shim.
--
-- XK_STORE_CMD starts ours; {socket} is its socket. The peer's package is unpacked into a cache, never installed.
-- SPDX-License-Identifier: MIT
local tools = require("tools")

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

-- oxenstored's socket has a fixed place: it runs where /run is a file system of its own, for which it takes root.
local function start_ocaml()
  local program, lib = xenstored()
  local shim, why = tools.program("xenstored_shim.so")
  if not program or not shim then
    return nil, program and why or lib
  end
  program = program:gsub("xenstored$", "oxenstored")
  local _, root = tools.sh("unshare -m true 2>/dev/null")
  if not tools.exists(program) or not root then
    return nil, "oxenstored skipped: " .. (root and "not in the package" or "needs root, for a /run of its own")
  end
  local dir = tools.temp()
  tools.write(dir .. "/conf", "pid-file = " .. dir .. "/pid\nxenstored-log-file = /dev/null\n")
  local command = string.format("unshare -m sh -c %s", tools.quote(string.format(
    "mount -t tmpfs none /run && mkdir -p /run/xenstored /run/xen && mount --bind %s /run/xenstored && exec env "
    .. "LD_PRELOAD=%s LD_LIBRARY_PATH=%s %s --no-fork --no-access-log --no-domain-init --config-file %s/conf",
    dir, shim, lib, program, dir)))
  return { pid = tools.serve("oxenstored", command, "unix", dir .. "/socket"), socket = dir .. "/socket" }
end

-- The limit: receives and sends as a store has to, and does nothing else, but with (mode) "paths" for one look-up of each
-- request's path in a flat table.
local function start_echo(mode)
  local dir = tools.temp()
  local command = string.format("%s %s/socket %s", tools.need("store_echo"), dir, mode or "")
  return { pid = tools.serve("store_echo", command, "unix", dir .. "/socket"), socket = dir .. "/socket" }
end

-- The store of a world, which guests may join. It keeps a journal if it is to, which no peer does.
local function start_world(journal)
  local program, dir = tools.root .. "/build/xenkit", tools.temp()
  if not tools.exists(program) then
    return nil, "ours skipped: build/xenkit is not there"
  end
  local world = tools.write(dir .. "/w.lua", ('return { name = "bench", domains = { %s } }'):format(
    journal and "" or '{ name = "store", service = "store", params = { journal = "" } }'))
  local socket = dir .. "/rt/bench/store.sock"
  local started = tools.serve("a world", string.format("env XENKIT_RUNTIME_DIR=%s/rt %s up -q %s", dir, program, world),
    "unix", socket)
  return { socket = socket, started = started, join = dir .. "/rt/bench/join", pid = tools.sh(string.format(
    "XENKIT_RUNTIME_DIR=%s/rt %s list --json", dir, program)):match('"name":"store"[^}]-"pid":(%d+)') }
end

local function start_ours()
  local dir = tools.temp()
  local socket = dir .. "/socket"
  local command = os.getenv("XK_STORE_CMD") and tools.our_command("XK_STORE_CMD", "", { dir = dir, socket = socket })
  if not command then
    return start_world(false)
  end
  return { pid = tools.serve("our store", command, "unix", socket), socket = socket }
end

-- Domains that exist: the store asks its platform who they are. (The shim says of all that they do.)
-- Returns the number of the first.
local function hold(server, count)
  if not server or not server.join then
    return 1
  end
  local log = tools.temp() .. "/log"
  tools.start(string.format("%s %s %s 0 %d", tools.need("store_ring"), server.join, server.pid, count), log)
  for _ = 1, 600 do
    local first = tools.read(log):match("first=(%d+)")
    if first then
      return tonumber(first)
    end
    tools.sh("sleep 0.1")
  end
  tools.fail("no domains to hold: %s", tools.read(log))
end

local titles = { read = "read 100 B", write = "write 100 B", mkrm = "mkdir + rm", txn = "transaction of 10",
  gathered = "transaction of 10, gathered", list = "list 1000 children" }

local NODES, DOMAINS = 100000, 1000

-- One run of store_bulk on each server; the figures by server. (gather): what is under way together goes by one call.
-- (clients): toolstacks at once.
local function bulk(servers, verb, count, gather, clients)
  local t = {}
  for name, server in pairs(servers) do
    t[name] = { tools.sample(string.format("env XK_BENCH_CLIENTS=%d %s%s%s %s %s %s %d %d", clients or 1,
      gather and "XK_BENCH_GATHER=1 " or "", tools.on(1), tools.need("store_bulk"), server.socket, server.pid, verb, count,
      server.first or 1))[1] }
  end
  return t
end

local function add(all, more)
  for name, t in pairs(more) do
    all[name] = all[name] or {}
    table.insert(all[name], t[1])
  end
end

-- Trees of domains, made and taken down five times: the samples of either. C xenstored, which is slow, does it once.
local function trees_of(servers, count, gather, clients)
  local made, ended = {}, {}
  for round = 1, tools.quick and 1 or 5 do
    local these = {}
    for name, server in pairs(servers) do
      these[name] = (round == 1 or name ~= "peer") and server or nil
    end
    add(made, bulk(these, "domains", count, gather, clients))
    add(ended, bulk(these, "teardown", count, gather, clients))
  end
  return made, ended
end

-- Guests of a world of ours; no peer can be asked over rings without Xen.
local function rings(out)
  local world, why = start_world(true)
  if not world then
    return out.note("store", why)
  end
  for _, active in ipairs(tools.quick and { 1, 8 } or { 1, 8, 64, 1000 }) do
    local t = {}
    for i = 1, tools.quick and 2 or 5 do
      t[i] = tools.sample(string.format("%s %s %s %d 0 %d", tools.need("store_ring"), world.join, world.pid, active,
        tools.quick and 200 or 500))[1]
      tools.sh("sleep " .. (active > 64 and 3 or 0.5)) -- until all of them have left
    end
    out.row({ workload = string.format("rings: reads of %d guests", active), unit = "op/s", ours = t })
  end
end

local STARTERS = { ours = start_ours, peer = start_peer, ocaml = start_ocaml }

-- Whom ours is compared with, where they are there. "flat" is an echo that looks each path up; "empty" is another one
-- of ours, which the nodes that are beside the others are not in.
local PEERS = { { "peer", "xenstored 4.17" }, { "ocaml", "oxenstored 4.17" }, { "echo", "echo (limit)" },
  { "flat", "echo + a look-up" }, { "empty", "ours, empty" } }

return function(out)
  local load = tools.need("store_load")
  local told = {}
  local servers = tools.start_all(out, "store", STARTERS, nil, told)
  local rounds, ms = tools.quick and 2 or 5, tools.quick and 150 or 250
  local nodes, domains = tools.quick and NODES // 10 or NODES, tools.quick and DOMAINS // 10 or DOMAINS

  local function measure(workload, connections)
    local t = {}
    for _ = 1, connections < 1000 and rounds or 2 do -- to set so many up takes the peers seconds
      for name, server in pairs(servers) do
        add(t, { [name] = { tools.sample(string.format("%s%s %s %s %s %d %d", tools.on(1), load, server.socket,
          server.pid, workload, connections, ms))[1] } })
      end
    end
    return t
  end

  local function row(title, t, spec)
    for i, peer in ipairs(PEERS) do
      if i == 1 or t[peer[1]] then
        out.row({ workload = i == 1 and title or "", unit = spec.unit, key = spec.key, ours = t.ours,
          theirs = t[peer[1]], peer = t[peer[1]] and peer[2], lower_is_better = spec.lower })
      end
    end
  end

  local function rows(list, suffix)
    for _, r in ipairs(list) do
      for _, connections in ipairs(r[2]) do
        row(string.format("%s, c%d%s", titles[r[1]], connections, suffix), measure(r[1], connections),
          { unit = "op/s" })
      end
    end
  end

  -- The next part begins with stores that know of nothing: a xenstored slows down with each domain that it has met.
  local function anew()
    for _, server in pairs(servers) do tools.stop(server.started or server.pid) end
    servers = tools.start_all(out, "store", STARTERS, nil, told)
  end

  if not next(servers) then
    return
  end

  -- First, as memory that a store has freed would hide what it takes.
  local t = bulk(servers, "fill", nodes)
  row(string.format("create %dk nodes", nodes // 1000), t, { unit = "op/s" })
  row(string.format("memory of %dk nodes, each (lower)", nodes // 1000), t, { unit = "B", key = "bytes", lower = true })
  servers.echo = start_echo()
  servers.empty = servers.ours and start_ours()
  rows({ { "txn", { 8 } }, { "gathered", { 8 } }, { "mkrm", { 8 } } }, ", beside these")
  for _, name in ipairs({ "ours", "empty" }) do
    if servers[name] then
      servers[name].first = hold(servers[name], domains)
    end
  end
  servers.flat = start_echo("paths")
  bulk({ flat = servers.flat }, "fill", nodes)
  for _, way in ipairs({ { "" }, { ", gathered", true }, { ", gathered, 8 toolstacks", true, 8 } }) do
    local made, ended = trees_of(servers, domains, way[2], way[3])
    row(string.format("trees of %d domains, beside these%s", domains, way[1]), made, { unit = "op/s" })
    row("their teardown" .. way[1], ended, { unit = "op/s" })
  end
  for _, name in ipairs({ "echo", "flat", "empty" }) do
    if servers[name] then tools.stop(servers[name].started or servers[name].pid) end
    servers[name] = nil
  end
  bulk(servers, "clear", 1)
  row(string.format("create %dk nodes, gathered", nodes // 1000), bulk(servers, "fill", nodes, true), { unit = "op/s" })
  bulk(servers, "clear", 1)
  local made, ended = trees_of(servers, domains)
  row(string.format("trees of %d domains", domains), made, { unit = "op/s" })
  row("their teardown", ended, { unit = "op/s" })

  anew()
  local all = tools.quick and { 8, 64 } or { 1, 8, 64, 1000 }
  rows({ { "read", all }, { "write", all }, { "mkrm", all } }, "")
  servers.echo = start_echo()
  rows({ { "txn", all } }, "")
  tools.stop(servers.echo.pid)
  servers.echo = nil
  rows({ { "gathered", tools.quick and { 8 } or { 8, 64 } } }, "")
  rows({ { "list", tools.quick and { 8 } or { 8, 64 } } }, "")
  for _, watchers in ipairs(tools.quick and { 1, 64 } or { 1, 8, 64, 1000 }) do
    t = measure("watch", watchers)
    for _, key in ipairs({ "p50", "p99" }) do
      row(string.format("watch, %d watchers, %s (lower)", watchers, key), t, { unit = "ns", key = key, lower = true })
    end
  end

  local journalled = start_world(true)
  if servers.ours and journalled then
    servers.ours = journalled
    rows({ { "write", { 64 } }, { "txn", { 64 } } }, ", with a journal")
  end
  rings(out)
end
