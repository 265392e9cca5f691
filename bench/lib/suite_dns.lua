-- Authoritative DNS over UDP with dnsperf, 20 clients and 200 outstanding, against NSD; one server process each.
--
-- XK_DNS_CMD starts ours; {zone} (a master file for example.bench) and {port} are replaced. The echo row is the limit
-- of a UDP server here. SPDX-License-Identifier: MIT
local tools = require("tools")

local default = "build/xenkit run scripts/services/dns.lua zone={zone} port={port}"
local LARGE, QUERIES = 100000, 200000

local header = [[
$ORIGIN example.bench.
$TTL 3600
@ IN SOA ns1 hostmaster 1 3600 600 86400 300
@ IN NS ns1
ns1 IN A 192.0.2.1
]]

local configuration = [[
server:
  server-count: 1
  ip-address: 127.0.0.1@PORT
  username: "USER"
  zonesdir: "DIR"
  database: ""
  pidfile: "DIR/nsd.pid"
  xfrdfile: "DIR/xfrd.state"
  zonelistfile: "DIR/zone.list"
  logfile: "DIR/nsd.log"
  rrl-ratelimit: 0
  hide-version: yes
remote-control:
  control-enable: no
zone:
  name: example.bench
  zonefile: ZONE
]]

-- A zone of (n) hosts, and a file of queries for them in random order.
local function make_zone(dir, n)
  local zone, query = { header }, {}
  for i = 1, n do
    zone[#zone + 1] = string.format("h%d IN A 10.%d.%d.%d\n", i, i >> 16 & 255, i >> 8 & 255, i & 255)
  end
  math.randomseed(1)
  for i = 1, n < 1000 and 1000 or QUERIES do
    query[i] = string.format("h%d.example.bench A\n", math.random(n))
  end
  return { zone = tools.write(dir .. "/zone" .. n, table.concat(zone)),
    queries = tools.write(dir .. "/queries" .. n, table.concat(query)) }
end

local function start_nsd(files)
  local nsd = tools.which("nsd")
  if not nsd then
    return nil, "NSD skipped: install nsd"
  end
  local dir, port = tools.temp(), tools.free_port()
  local user = tools.sh("id -un"):match("%S+")
  local values = { PORT = port, USER = user == "root" and "" or user, DIR = dir, ZONE = files.zone }
  local file = tools.write(dir .. "/nsd.conf", (configuration:gsub("%u%u%u+", function(w)
    return values[w]
  end)))
  return { pid = tools.serve("nsd", nsd .. " -d -c " .. file, "dns", port, 30000), port = port }
end

local function start_ours(files)
  local port = tools.free_port()
  local command, why = tools.our_command("XK_DNS_CMD", default, { zone = files.zone, port = port })
  if not command then
    return nil, why
  end
  return { pid = tools.serve("our DNS server", command, "dns", port, 30000), port = port }
end

local function start_echo()
  local port = tools.free_port()
  return { pid = tools.serve("udp_echo", tools.need("udp_echo") .. " " .. port, "dns", port), port = port }
end

local function dnsperf(name, server, queries)
  local text = tools.sh(string.format("%s around %s %s%s 2>&1", tools.need("bench_tool"), server.pid, tools.on(1),
    tools.words("dnsperf", "-s", "127.0.0.1", "-p", server.port, "-d", queries, "-c", "20", "-q", "200", "-T", "1",
      "-l", "1")))
  local done = tonumber(text:match("Queries completed:%s*(%d+)"))
  local rate = tonumber(text:match("Queries per second:%s*([%d.]+)"))
  local cpu, good = tonumber(text:match("\nwall_ns=%d+ cpu=(%d+)")), text:match("NOERROR (%d+)")
  if not rate or not cpu or done == 0 then
    tools.fail("dnsperf on %s: %s", name, text:sub(-400))
  elseif not good then
    tools.fail("%s gives no NOERROR answers", name)
  end
  return { rate = rate, cpu_ns = cpu / done }
end

return function(out)
  if not tools.which("dnsperf") then
    return out.note("dns", "skipped: install dnsperf")
  end
  local dir = tools.temp()
  tools.sh("chmod 755 " .. dir)
  local told = {}
  for _, case in ipairs({ { 10, "10 records" }, { LARGE, "100k names" } }) do
    local files, t = make_zone(dir, case[1]), { ours = {}, nsd = {}, echo = {} }
    local starters = { ours = start_ours, nsd = start_nsd, echo = start_echo }
    local servers = tools.start_all(out, "dns", starters, files, told)
    for _ = 1, tools.quick and 2 or 5 do
      for name, server in pairs(servers) do
        table.insert(t[name], dnsperf(name, server, files.queries))
      end
    end
    for _, peer in ipairs({ { "nsd", "NSD", 0.9 }, { "echo", "UDP echo (limit)" } }) do
      if servers[peer[1]] then
        out.row({ workload = "dns " .. case[2], unit = "q/s", ours = t.ours, theirs = t[peer[1]], peer = peer[2],
          goal = peer[3] })
      end
    end
    for _, server in pairs(servers) do
      tools.stop(server.pid)
    end
  end
end
