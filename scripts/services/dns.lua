-- An authoritative DNS server over UDP and TCP. NAME.domains.APEX is answered from the store: the number and state of
-- the domain of that name.
local dns = require "xenkit.dns"
local task = require "xenkit.task"

local REFRESH = 1      -- seconds between looks into the store
local DYNAMIC_TTL = 1

-- A domain's name as a DNS label: lower case; what may not stand in one becomes "-".
local function label(name) return (name:lower():gsub("[^%w_-]", "-"):sub(1, 63)) end

-- The names of all domains that the store shows us: label -> {domid, state}. Names never change, so each is read once.
local function look_up_domains(ctx, names)
  local found = {}
  for _, id in ipairs(ctx.store:list("/local/domain") or {}) do
    local domid = math.tointeger(tonumber(id))
    names[id] = names[id] or ctx.store:read("/local/domain/" .. id .. "/name")
    if domid and names[id] then
      local info = ctx.world:domain(domid)
      found[label(names[id])] = { domid = domid, state = info and info.state or "running" }
    end
  end
  return found
end

local function dynamic_names(server, apex)
  local suffix = ".domains." .. apex:lower()
  local domains = {}
  server:hook(function(name)
    if name:sub(-#suffix) ~= suffix then return nil end
    local d = domains[name:sub(1, -#suffix - 1)]
    if not d then return nil end
    return { { "TXT", dns.quote("domid=" .. d.domid) .. " " .. dns.quote("state=" .. d.state), DYNAMIC_TTL } }
  end)
  return function(found) domains = found end
end

local COUNTERS = { "queries", "cache_hits", "cache_misses", "dropped", "truncated", "hook_calls", "hook_errors" }

local function counters(server, tcp)
  local s, parts = server:stats(), {}
  for _, name in ipairs(COUNTERS) do parts[#parts + 1] = name .. "=" .. s[name] end
  for name, n in pairs(s.rcode) do parts[#parts + 1] = name:lower() .. "=" .. n end
  for _, name in ipairs { "received", "sent", "unsent" } do parts[#parts + 1] = "udp_" .. name .. "=" .. s.udp[name] end
  for _, name in ipairs { "accepted", "queries" } do parts[#parts + 1] = "tcp_" .. name .. "=" .. (tcp[name] or 0) end
  table.sort(parts)
  return table.concat(parts, " ")
end

-- At most one line a second tells of malformed queries, however many there are: how many, and of the last which field.
local function tell_malformed(ctx, server, seen)
  local s = server:stats()
  local n = s.rcode.FORMERR or 0
  if n > seen and s.malformed then
    ctx.log("warning", "malformed queries got FORMERR", { count = n - seen, last = s.malformed })
  end
  return n
end

local function with_store(ctx, server, tcp, publish)
  local names, last, malformed = {}, nil, 0
  while true do
    malformed = tell_malformed(ctx, server, malformed)
    publish(look_up_domains(ctx, names))
    local text = counters(server, tcp)
    if text ~= last then
      ctx.store:write("data/stats", text)
      last = text
    end
    task.sleep(REFRESH)
  end
end

return {
  summary = "Serves a DNS zone over UDP and TCP.",
  params = {
    { "zone", type = "path", default = "site/xenkit.zone", help = "master file (RFC 1035)" },
    { "port", type = "integer", default = 5353, min = 0, max = 65535, help = "port of both; 0 takes free ones" },
    { "address", default = "127.0.0.1", help = "address to listen on" },
  },
  needs = {
    udp = { dns = "$address:$port" },
    tcp = { dns = "$address:$port" },
    text = { zone = "$zone" },
  },
  start = function(ctx)
    local server <close> = assert(dns.server(ctx.world))
    local info, err = server:load(nil, ctx.text.zone, ctx.text_path.zone)
    if not info then
      print(err)
      return 1
    end
    assert(server:serve_udp(ctx.udp.dns))
    local tcp = {}
    if ctx.store then
      local publish = dynamic_names(server, info.apex)
      task.spawn(with_store, ctx, server, tcp, publish)
    end
    ctx.log("info", "serving " .. info.apex, { serial = info.serial, records = info.records })
    local _, why = dns.serve_tcp(server, ctx.tcp.dns, { stats = tcp })
    print("dns over tcp: " .. tostring(why))
    return 1
  end,
}
