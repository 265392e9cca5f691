--- The log domain's end of its readers: each goes through the book at its own pace; one that is slow finds records
-- gone, and is told how many.
-- @module xenkit.log.readers
local filter = require "xenkit.log.filter"
local json = require "xenkit.json"
local level = require "xenkit.log.level"
local task = require "xenkit.task"
local wire = require "xenkit.log.wire"

local M = {}

local READERS, BATCH, SLICE = 64, 16384, 500

local function refuse(stream, message, code)
  stream:write(wire.frame("X", json.encode { message = message, code = code }), 5)
end

local function shown(r)
  return wire.frame("R", wire.stamp(r.flags, r.number, r.time, r.log.domid, r.log.name, r.bytes))
end

local function skipped(server, r, count)
  server.skipped = server.skipped + count
  local now, n = server.ctx.world:wallclock(), level.NUMBER.warning
  local text = ("%d record%s gone before this reader came to it"):format(count, count == 1 and " was" or "s were")
  local bytes = wire.record(1, 0, now, n, "log", text, { count = count })
  return wire.frame("R", wire.stamp(wire.SKIPPED, r.number, now, r.log.domid, r.log.name, bytes))
end

-- Frames of what comes next, up to a batch; "" when nothing did.
local function gather(server, cursor, wanted, cares)
  local parts, size, steps = {}, 0, 0
  while size < BATCH do
    local r, missed = cursor:next()
    if not r then break end
    if missed > 0 and cares(r.log) then parts[#parts + 1] = skipped(server, r, missed) end
    if wanted(r) then
      parts[#parts + 1] = shown(r)
      size = size + #parts[#parts]
    end
    steps = steps + 1
    if steps % SLICE == 0 then task.yield() end
  end
  return table.concat(parts)
end

local function wait(cursor)
  local id = task.wait_id()
  cursor.wake = function() task.wake(id) end
  task.wait(id)
  cursor.wake = nil
end

local function show(server, stream, q, wanted, cares)
  local tail = q.tail ~= nil and math.tointeger(q.tail) or nil
  local cursor <close> = server.book:cursor(tail, wanted)
  local told = false
  while true do
    local text = gather(server, cursor, wanted, cares)
    if text ~= "" and not stream:write(text) then return end
    if cursor:at_end() then
      if not told and not stream:write(wire.frame("E", "{}"), 10) then return end
      told = true
      if not q.follow then return end
      if cursor:at_end() then wait(cursor) end
    end
  end
end

local ops = {}

function ops.read(server, stream, q)
  local wanted, cares = filter.new(q)
  if not wanted then return refuse(stream, cares, "XK_EINVAL") end
  if server.readers >= READERS then
    return refuse(stream, "the log domain has " .. READERS .. " readers already", "XK_EMFILE")
  end
  server.readers = server.readers + 1
  local showing = task.spawn(show, server, stream, q, wanted, cares)
  local leaving = task.spawn(function() -- it says nothing more, but leaves
    while stream:read() do end
    showing:cancel()
  end)
  local ok, err = pcall(showing.join, showing)
  leaving:cancel()
  server.readers = server.readers - 1
  if not ok and err ~= task.cancelled then error(err, 0) end
end

-- A level is set for a name; a number is that of a domain that is connected. @return name or nil, whether it fits
local function domain_name(server, domain)
  if domain == nil then return nil, true end
  local d = server.senders.domains[math.tointeger(tonumber(domain)) or -1]
  if d then return d.log.name, true end
  return domain, type(domain) == "string" and domain:find("^[%a_]") ~= nil and #domain <= 64
end

function ops.set_level(server, stream, q)
  local name, fits = domain_name(server, q.domain)
  if not fits then return refuse(stream, "no domain '" .. tostring(q.domain) .. "' logs here", "XK_ENOENT") end
  local ok, err, code = server.rules:set(name, q.source, q.level)
  if not ok then return refuse(stream, err, code) end
  local count = server.senders:tell_all()
  server.apply_own(server.rules:of(server.ctx.name), server.rules.world)
  server.ctx.log("info", "level set", { level = q.level, domain = name or "all", source = q.source,
    by = stream.peer or 0 })
  task.yield() -- the senders' tasks write first
  stream:write(wire.frame("O", json.encode { senders = count }), 5)
end

function ops.stats(server, stream)
  local b, opts = server.book, server.opts
  stream:write(wire.frame("O", json.encode { domains = server.senders:stats(), records = b.records, bytes = b.bytes,
    evicted = b.evicted, readers = server.readers, skipped = server.skipped, refused = server.refused, limits = {
      records = b.limits.records, bytes = b.limits.bytes, all_records = b.limits.all_records,
      all_bytes = b.limits.all_bytes, rate = opts.rate, burst = opts.burst } }), 10)
end

--- Serves a reader's query. @param allowed whether it may
function M.answer(server, stream, body, allowed)
  local ok, q = pcall(json.decode, body)
  if not ok or type(q) ~= "table" or not ops[q.op] then return refuse(stream, "no such query", "XK_EPROTO") end
  if not allowed then
    server.refused = server.refused + 1
    server.ctx.log("warning", "refused a reader without the right to the log", { domid = stream.peer })
    return refuse(stream, "this domain has no right to the log; its world file must say rights = { \"log\" }",
      "XK_EPERM")
  end
  return ops[q.op](server, stream, q)
end

return M
