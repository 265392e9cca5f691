-- The log domain: takes structured records from every domain over a flow, stamps them with who sent them - the store
-- vouches for that, the sender does not - keeps the last ones, and shows them to tools.
local flow = require "xenkit.flow"
local rpc = require "xenkit.rpc"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local KEEP = 10000 -- records
local TEXT_MAX = 4096

local records, first, last = {}, 1, 0
local followers = {}
local lost = 0

local function safe(text) return (tostring(text):gsub("[%c\127]",
  function(c) return ("\\x%02x"):format(c:byte()) end)) end

local function line(r)
  local parts = { os.date("!%Y-%m-%dT%H:%M:%S", math.floor(r.time)), ("%03dZ"):format(math.floor(r.time % 1 * 1000)) }
  local text = ("%s.%s %-7s %s: %s"):format(parts[1], parts[2], r.level, r.name, r.text)
  local keys = {}
  for k in pairs(r.fields or {}) do keys[#keys + 1] = tostring(k) end
  table.sort(keys)
  for _, k in ipairs(keys) do text = text .. " " .. k .. "=" .. safe(r.fields[k]) end
  return text .. "\n"
end

local function add(r)
  last = last + 1
  r.seq = last
  records[last] = r
  if last - first + 1 > KEEP then
    records[first] = nil
    first = first + 1
  end
  for f in pairs(followers) do
    if f.wait then
      local id = f.wait
      f.wait = nil
      task.wake(id)
    end
  end
end

local function take(ctx, s)
  local c <close> = s
  local name = ctx.store:read("/local/domain/" .. s.peer .. "/name") or ("domain-" .. s.peer)
  while true do
    local m = rpc.receive(c)
    if not m then return end
    if m.lost then
      lost = lost + (math.tointeger(m.lost) or 0)
      add { time = ctx.world:wallclock(), level = "warning", name = name,
        text = m.lost .. " records were lost before this" }
    elseif m.text then
      add { time = ctx.world:wallclock(), level = safe(m.level or "info"), name = name, domid = s.peer,
        text = safe(m.text):sub(1, TEXT_MAX), fields = type(m.fields) == "table" and m.fields or nil }
    end
  end
end

-- A tool reads: what is kept, then, when it follows, what comes. One that is slow skips ahead and is told.
local function show(ctx, fd, follow, only)
  local s <close> = assert(stream.from_handle(ctx.world, fd))
  local f = { at = first }
  followers[f] = true
  while true do
    if f.at < first then
      s:write(("[%d records were skipped here]\n"):format(first - f.at), 10)
      f.at = first
    end
    while f.at <= last do
      local r = records[f.at]
      f.at = f.at + 1
      if r and (only == "" or r.name == only) and not s:write(line(r), 10) then
        followers[f] = nil
        return
      end
    end
    if not follow then break end
    f.wait = task.wait_id()
    task.wait(f.wait)
  end
  followers[f] = nil
end

return {
  summary = "Collects structured records from all domains and shows them.",
  offers = { "log" },
  start = function(ctx)
    function ctx.on_handle(name, fd)
      local follow, only = name:match("^follow:(f?):?(.*)$")
      if follow then task.detach(show, ctx, fd, follow == "f", only) end
    end
    local l = assert(flow.listen(ctx, "log"))
    while true do
      local s = l:accept()
      if s then task.detach(take, ctx, s) end
    end
  end,
}
