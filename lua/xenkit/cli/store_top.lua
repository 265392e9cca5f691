--- `xenkit store top`: what each domain does to the store, from its subtree of figures. @module xenkit.cli.store_top
local host = require "xenkit.core.host"
local json = require "xenkit.json"
local out = require "xenkit.cli.out"
local task = require "xenkit.task"

local M = {}

local COLUMNS = { "nodes", "memory", "watches", "transactions", "events", "replies", "refused" }

-- domid -> { name, figure = number, ... }
local function look(s)
  local all = {}
  local ids, err, code = s:list("/tool/xenstored/stats")
  if not ids then return nil, err, code end
  for _, domid in ipairs(ids) do
    local text = s:read("/tool/xenstored/stats/" .. domid .. "/summary")
    local d = { domid = math.tointeger(tonumber(domid)), name = s:read("/local/domain/" .. domid .. "/name") or "" }
    for k, v in (text or ""):gmatch("(%w+)=(%-?%d+)") do d[k] = math.tointeger(tonumber(v)) end
    all[d.domid] = d
  end
  return all
end

local function table_of(now, before, seconds)
  local list = {}
  for domid, d in pairs(now) do
    local was = before[domid]
    d.ops_per_second = was and was.ops <= d.ops and math.floor((d.ops - was.ops) / seconds + 0.5) or 0
    list[#list + 1] = d
  end
  table.sort(list, function(a, b)
    if a.ops_per_second ~= b.ops_per_second then return a.ops_per_second > b.ops_per_second end
    return a.domid < b.domid
  end)
  return list
end

local function size(n)
  if n < 10000 then return tostring(n) end
  return n < 10000000 and ("%dK"):format(n // 1024) or ("%dM"):format(n // 1048576)
end

local function print_table(list, say)
  say("%-5s %-20s %8s %7s %8s %7s %12s %6s %7s %7s", "ID", "NAME", "OPS/S", table.unpack(COLUMNS))
  for _, d in ipairs(list) do
    local row = {}
    for i, c in ipairs(COLUMNS) do row[i] = c == "memory" and size(d.memory or 0) or tostring(d[c] or 0) end
    say("%-5d %-20s %8d %7s %8s %7s %12s %6s %7s %7s", d.domid, d.name:sub(1, 20), d.ops_per_second,
      table.unpack(row))
  end
end

--- @param p count, interval, json
function M.run(s, p, say)
  local clear = host.is_tty(1) and p.count ~= 1 and not p.json
  local before, err, code = look(s)
  local n = 0
  while before do
    task.sleep(p.interval)
    local now
    now, err, code = look(s)
    if not now then break end
    local list = table_of(now, before, p.interval)
    if p.json then
      say("%s", json.encode(json.array(list), { sorted = true }))
    else
      if clear then out.write("\27[H\27[J") end
      print_table(list, say)
    end
    out.flush()
    before, n = now, n + 1
    if p.count > 0 and n >= p.count then return true end
  end
  return nil, err, code
end

return M
