--- Reading what domains have logged, from any domain whose world file says `rights = { "log" }`.
--
--     local logs = require "xenkit.logs"
--     local log <close> = assert(logs.open(ctx, { level = "warning", follow = true }))
--     for r in log:records() do print(r.domain, r.level, r.text) end
--
-- A query: domain (name, or number; "www" is also www-1, www-2 ...), level (the least), source, since (wall clock),
-- tail (the last so many), grep (a pattern of Lua's, looked for in the lines), follow (go on as more comes). A record:
-- domain, domid, time (when it came); seq, mono, wall (as its sender says), level, source, text, fields; last_words: it
-- was found in the ring of a domain that ended without a word; recovered: found in a ring, its domain runs; lost,
-- skipped: this many were lost on the way, or gone before a slow reader came to them.
-- @module xenkit.logs
local flow = require "xenkit.flow"
local json = require "xenkit.json"
local wire = require "xenkit.log.wire"

local M = {}
local Reader = {}
Reader.__index = Reader
Reader.__name = "xenkit.logs"

local function refusal(body)
  local ok, e = pcall(json.decode, body)
  e = ok and type(e) == "table" and e or {}
  return nil, tostring(e.message or "refused"), tostring(e.code or "XK_EPROTO")
end

local function send(stream, op, q)
  local m = { op = op }
  for k, v in pairs(q) do m[k] = v end
  return stream:write(wire.frame("Q", json.encode(m)), 10)
end

--- A reader over a stream that leads to the log domain.
function M.over(stream, q)
  q = q or {}
  local asked = { domain = q.domain, level = q.level, source = q.source, since = q.since, follow = q.follow,
    tail = not q.grep and q.tail or nil }
  local ok, err, code = send(stream, "read", asked)
  if not ok then return nil, err, code end
  return setmetatable({ stream = stream, frames = wire.frames(stream), grep = q.grep, tail = q.grep and q.tail,
    held = {} }, Reader)
end

local function matches(self, r)
  if not self.grep or r.skipped then return true end
  if r.text:find(self.grep) then return true end
  for k, v in pairs(r.fields) do if (k .. "=" .. tostring(v)):find(self.grep) then return true end end
  return false
end

-- With grep and tail the last ones are held back until all that is kept has been seen.
local function hold(self, r)
  local held = self.held
  held[#held + 1] = r
  if #held > self.tail then table.remove(held, 1) end
end

--- The next record. nil at the end, when not following; nil, message, code when it failed, "XK_EPERM" without the
-- right.
function Reader:next(timeout)
  while true do
    local r = self.ready and table.remove(self.ready, 1)
    if r then return r end
    local kind, body, code = self.frames(timeout)
    if not kind then return nil, code and body or nil, code end
    if kind == "X" then return refusal(body) end
    if kind == "E" then
      self.ready, self.tail = self.tail and self.held, nil
    elseif kind == "R" then
      r = wire.stamped(body)
      if not r then return nil, "the log domain sent no record", "XK_EPROTO" end
      if matches(self, r) then
        if not self.tail then return r end
        hold(self, r)
      end
    end
  end
end

--- Goes through the records; an error is raised. At the end of a query that does not follow the loop ends.
function Reader:records()
  return function()
    local r, err = self:next()
    if not r and err then error("log: " .. err, 2) end
    return r
  end
end

function Reader:close() self.stream:close() end
Reader.__close = Reader.close

--- Asks over a stream that leads to the log domain. @return the answer, a table
function M.ask(stream, op, q)
  local ok, err, code = send(stream, op, q or {})
  if not ok then return nil, err, code end
  local kind, body, c = wire.frames(stream)(10)
  if not kind then return nil, body, c end
  if kind == "X" then return refusal(body) end
  return json.decode(body)
end

local function connect(ctx) return flow.connect(ctx, "log", 10) end

--- Begins to read. @param ctx a domain's context; query as above
function M.open(ctx, query)
  local stream, err, code = connect(ctx)
  if not stream then return nil, err, code end
  return M.over(stream, query)
end

local function once(ctx, op, q)
  local stream <close>, err, code = connect(ctx)
  if not stream then return nil, err, code end
  return M.ask(stream, op, q)
end

--- From which level on is heard: debug, info, warning, error, off; reset takes the rule back.
-- @param domain, source nil: of all
function M.set_level(ctx, level, domain, source)
  return once(ctx, "set_level", { level = level, domain = domain, source = source })
end

--- Counters of the log domain and of every sender.
function M.stats(ctx) return once(ctx, "stats") end

return M
