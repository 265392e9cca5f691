--- DNS: serving over TCP, asking, and reloading zones. Datagrams are served in C (`server:serve_udp`).
--
--     local dns = require "xenkit.dns"
--     local server = assert(dns.server(world))
--     assert(server:load(nil, text, "site/xenkit.zone"))
--     assert(server:serve_udp(ctx.udp.dns))
--     dns.serve_tcp(server, ctx.tcp.dns)
--
-- A server has the methods load, drop, flush, hook, serve_udp, answer, stats and close: see xenkit.core.dns.
-- @module xenkit.dns
local core = require "xenkit.core.dns"
local task = require "xenkit.task"

local M = {}

local IDLE = 10          -- seconds; RFC 7766 section 6.2.3 asks for a few
local CONNECTIONS = 128
local WRITE_TIMEOUT = 10
local BATCH = 64 * 1024  -- replies that are gathered before they are written

--- server(world, opts): an authoritative server; opts.cache_bytes, opts.udp_max (1232).
M.server = core.server

--- query(name, type, opts): the bytes of a query; opts.id, rd, cd, udp_size, dnssec.
M.query = core.query

--- decode(bytes): a message as a table of header, sections and records with their data as text.
M.decode = core.decode

--- A string as it stands in TXT data: quoted, in pieces of at most 255 bytes.
function M.quote(text)
  local parts = {}
  for at = 1, math.max(#text, 1), 255 do
    parts[#parts + 1] = '"' .. text:sub(at, at + 254):gsub('[%z\1-\31"\\\127-\255]', function(c)
      return ("\\%03d"):format(c:byte())
    end) .. '"'
  end
  return table.concat(parts, " ")
end

-- --- TCP ---

-- Answers all whole messages of `buf`. What is left of it, and how many deserved a reply; nil when writing failed.
local function answer_all(server, buf, write)
  local replies, size, at, count = {}, 0, 1, 0
  while #buf - at >= 1 do
    local n = string.unpack(">I2", buf, at)
    if #buf - at - 1 < n then break end
    local reply = server:answer(buf:sub(at + 2, at + 1 + n), "tcp")
    at = at + 2 + n
    if reply then
      count = count + 1
      replies[#replies + 1] = string.pack(">s2", reply)
      size = size + #reply
      if size > BATCH then
        if not write(table.concat(replies)) then return nil end
        replies, size = {}, 0
      end
    end
  end
  if size > 0 and not write(table.concat(replies)) then return nil end
  return at > 1 and buf:sub(at) or buf, count
end

-- Answers come in the order of their questions, which any client understands. A message must come whole within the idle
-- timeout: neither bytes that trickle in nor messages that deserve no reply extend it.
local function serve_connection(self, c)
  local world, buf = task.world(), ""
  local function write(data) return c.stream:write(data, self.write_timeout) end
  while true do
    local left = c.since + self.idle - world:now()
    if left <= 0 then return "idle" end
    local data, _, code = c.stream:read(nil, left)
    if not data then return code == "XK_ETIMEDOUT" and "idle" or nil end
    buf = buf == "" and data or buf .. data
    local count
    buf, count = answer_all(self.server, buf, write)
    if not buf then return "write" end
    if count > 0 then
      self.stats.queries = self.stats.queries + count
      c.since = world:now()
    end
  end
end

local function connection(self, c)
  local ok, why = pcall(serve_connection, self, c)
  self.open[c] = nil
  self.count = self.count - 1
  c.stream:close()
  if not ok then
    if why == task.cancelled then error(why, 0) end
    if c.evicted then return end
    self.stats.errors = self.stats.errors + 1
    self.stats.error = tostring(why)
  elseif why == "idle" then
    self.stats.idle = self.stats.idle + 1
  end
end

-- The connection that has been silent for longest makes room (RFC 7766 section 6.2.3).
local function evict(self)
  local oldest
  for c in pairs(self.open) do
    if not c.evicted and (not oldest or c.since < oldest.since) then oldest = c end
  end
  if not oldest then return end
  oldest.evicted = true
  self.stats.evicted = self.stats.evicted + 1
  oldest.stream:close()
end

--- Serves DNS over TCP (RFC 7766) in the running task until the listener fails or the task is cancelled: messages with
-- a length before each, many in flight at once. Connections are closed when idle and bounded in number.
-- @param server of `dns.server`
-- @param listener of `xenkit.stream`
-- @param opts idle (seconds), connections, write_timeout, stats (a table to count in)
-- @return nil, message, code of the listener
function M.serve_tcp(server, listener, opts)
  opts = opts or {}
  local stats = opts.stats or {}
  for _, name in ipairs { "accepted", "queries", "idle", "evicted", "errors" } do stats[name] = stats[name] or 0 end
  local self = { server = server, idle = opts.idle or IDLE, write_timeout = opts.write_timeout or WRITE_TIMEOUT,
    stats = stats, open = {}, count = 0 }
  local most = opts.connections or CONNECTIONS
  while true do
    local s, err, code = listener:accept()
    if not s then return nil, err, code end
    stats.accepted = stats.accepted + 1
    local c = { stream = s, since = task.world():now() }
    if self.count >= most then
      evict(self)
      task.yield()
    end
    self.open[c] = true
    self.count = self.count + 1
    task.spawn(connection, self, c)
  end
end

-- --- asking ---

local function random_id(world)
  local bytes = world:entropy(2)
  return bytes and string.unpack(">I2", bytes) or nil
end

-- A reply is ours when id and question are (RFC 5452 section 9.1).
local function is_reply(message, query, id)
  local q = message and message.question[1]
  return q and message.qr and message.id == id and q.type == query.type and q.name:lower() == query.name:lower()
end

local function read_tcp(s, timeout)
  local head, err, code = s:read_exactly(2, timeout)
  if not head then return nil, err, code end
  return s:read_exactly(string.unpack(">I2", head), timeout)
end

-- Replies until ours, or nil at the deadline.
local function await(s, tcp, query, id, timeout)
  local world = task.world()
  local deadline = world:now() + timeout
  while true do
    local left = deadline - world:now()
    if left <= 0 then return nil, "the deadline passed", "XK_ETIMEDOUT" end
    local bytes, err, code
    if tcp then
      bytes, err, code = read_tcp(s, left)
    else
      bytes, err, code = s:read(nil, left)
    end
    if not bytes then return nil, err, code end
    local message = M.decode(bytes)
    if is_reply(message, query, id) then return message end
  end
end

local function ask(s, name, type, id, timeout, opts)
  local bytes, err, code = core.query(name, type, { id = id, rd = opts.rd, cd = opts.cd, dnssec = opts.dnssec,
    udp_size = opts.udp_size or 1232 })
  if not bytes then return nil, err, code end
  local query = M.decode(bytes).question[1]
  local ok, e, c = s:write(opts.tcp and string.pack(">s2", bytes) or bytes, timeout)
  if not ok then return nil, e, c end
  return await(s, opts.tcp, query, id, timeout)
end

--- Asks over a connected stream. Over UDP the query is sent again when no reply comes.
-- @param s a stream over a connected TCP or UDP descriptor
-- @param name
-- @param type "A" and so on, or a number
-- @param opts tcp (true: length-prefixed), timeout (seconds for each try, 2), tries (UDP, 3), and those of `dns.query`
-- @return the reply as `dns.decode` gives it, or nil, message, code
function M.lookup(s, name, type, opts)
  opts = opts or {}
  local timeout, err, code = opts.timeout or 2, nil, nil
  for _ = 1, opts.tcp and 1 or opts.tries or 3 do
    local id = random_id(task.world())
    if not id then return nil, "no random numbers", "XK_EIO" end
    local message
    message, err, code = ask(s, name, type, id, timeout, opts)
    if message then return message end
    if code ~= "XK_ETIMEDOUT" then break end
  end
  return nil, name .. ": " .. tostring(err), code
end

--- Loads a zone again whenever its text has changed. Compares, so it may be called as often as one likes.
-- @param read function() giving the text, or nil, message
-- @param source name for messages
-- @return function() giving the zone's info when it was loaded, false when the text is as it was, or nil, message,
-- code: then the old zone stays
function M.reloader(server, origin, read, source)
  local last
  return function()
    local text, err, code = read()
    if not text then return nil, err, code end
    if text == last then return false end
    local info, e, c = server:load(origin, text, source)
    if not info then return nil, e, c end
    last = text
    return info
  end
end

return M
