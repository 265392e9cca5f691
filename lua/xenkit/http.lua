--- HTTP/1.1: a server that runs handlers as tasks, files, routes, and a small client.
--
--     http.serve(listener, function(req)
--       return 200, "Hello\n"
--     end)
--
-- A handler gets the request and returns `status, body, headers`: body a string, or a function(write) for an answer in
-- pieces; headers a table, or the media type alone ("text/plain; charset=utf-8" without). It may instead return one
-- answer made in advance (`http.resource`). It may wait; other connections go on. What it raises becomes a 500, or the
-- answer that `http.fail(status, text)` asks for.
--
-- The request has `method, path, query, target, host, version, length`, `req:header(name)`, `req:headers()`,
-- `req:read_body(max)`, `req:form(max)`, `req:args()`. It is good until the handler has returned. `path` is decoded
-- once and has no dot segments.
-- @module xenkit.http
local core = require "xenkit.core.http"
local core_stream = require "xenkit.core.stream"
local task = require "xenkit.task"

local M = {}

for _, name in ipairs { "reason", "media_type", "date", "parse_date", "etag", "parse_range", "normal_path", "decode",
                        "encode", "uri", "form", "escape_html" } do
  M[name] = core[name]
end

local methods = core.methods
local c_next, c_arm, c_respond, c_send = methods.next, methods.arm, methods.respond, methods.send
local c_flush, c_closed, c_last, c_body = methods.flush, methods.closed, methods.last, methods.body
local c_trim, c_close, c_disarm = methods.trim, methods.close, methods.disarm
local wait_id, wait = task.wait_id, task.wait
local type, tostring, xpcall, pairs = type, tostring, xpcall, pairs
local setmetatable, getmetatable = setmetatable, getmetatable

local TEXT = "text/plain; charset=utf-8"
local TICK = 0.25   -- seconds between two looks at the deadlines
local POOL = 256    -- tasks that are kept for connections to come

-- What a handler raises to be answered with a status of its own.
local Failure = { __name = "xenkit.http.failure" }
Failure.__tostring = function(f) return f.status .. " " .. f.text end

--- Ends the handler with this answer. @param headers a table, the media type, or nil
function M.fail(status, text, headers)
  error(setmetatable({ status = status, text = text or core.reason(status) .. "\n", headers = headers }, Failure), 0)
end

--- An answer made in advance, which a handler returns alone: `status` (200), `body`, `type`, `headers` (a table),
-- `etag`, `modified` (seconds). With status 200 it obeys If-None-Match, If-Modified-Since, Range and HEAD. With `at`
-- and `n` the body is the `n` bytes of `body` behind its first `at`, which are sent from there.
function M.resource(r)
  local headers = {}
  for k, v in pairs(r.headers or {}) do headers[k] = v end
  if r.etag then headers["ETag"] = r.etag end
  if r.modified then headers["Last-Modified"] = core.date(r.modified) end
  if (r.status or 200) == 200 then headers["Accept-Ranges"] = "bytes" end
  return core.resource(r.status or 200, r.body or "", r.type, core.fields(headers), r.etag, r.modified,
    r.at, r.n)
end

-- ------------------------------------------------------------------------------------------- requests, in a handler

local entries = {} -- open connection -> what its server knows of it

-- Waits until `conn` is ready; false when it was closed meanwhile, or at the timeout.
local function await(conn, dir, mode, timeout)
  local e = entries[conn]
  local before
  if e then
    before = e.mode
    e.mode, e.tick = mode, e.server.tick
  end
  local id = wait_id()
  c_arm(conn, dir, id)
  local in_time = wait(id, timeout)
  if e then e.mode = before end
  if not in_time then c_disarm(conn) end
  return in_time and not c_closed(conn)
end

local function gone() return nil, "the connection was closed", "XK_ECLOSED" end

--- The whole body, at most `max` bytes (the server's cap without). A body that is too long or broken, or a client that
-- goes away, ends the handler.
function methods.read_body(req, max)
  local e = entries[req]
  while true do
    local data, text, code, extra = c_body(req, max or e and e.server.max_body)
    if data then return data end
    if code == "XK_EPROTO" then M.fail(extra, text .. "\n") end
    if code ~= "XK_EAGAIN" then M.fail(400, text .. "\n") end
    if not await(req, extra, "body") then M.fail(408) end
  end
end

--- The fields of a form in the body. @return as `http.form`
function methods.form(req, max) return core.form(req:read_body(max)) end

--- The fields of the query. @return as `http.form`
function methods.args(req) return core.form(req.query or "") end

-- ------------------------------------------------------------------------------------------- the server

local Server = {}
Server.__index = Server
Server.__name = "xenkit.http.server"

local function drop(server, e)
  local conn = e.conn
  if entries[conn] then
    entries[conn] = nil
    server.open[e] = nil
    server.stats.connections = server.stats.connections - 1
    if server.full_id then task.wake(server.full_id) end
    if server.ended_id and server.stats.connections == 0 then task.wake(server.ended_id) end
  end
  c_close(conn)
end

-- Bytes wait although the task goes on: a task of its own lets them out should this one wait for something else.
local function flush_later(server, e)
  if e.dirty then return end
  e.dirty = true
  local list = server.dirty
  list[#list + 1] = e
  if server.flusher_id then
    task.wake(server.flusher_id)
    server.flusher_id = nil
  end
end

local function flusher(server)
  while true do
    if #server.dirty == 0 then
      local id = wait_id()
      server.flusher_id = id
      wait(id)
    end
    local list = server.dirty
    server.dirty = {}
    for i = 1, #list do
      local e = list[i]
      e.dirty = false
      if not c_closed(e.conn) then c_flush(e.conn) end
    end
    task.yield()
  end
end

-- A body in pieces: `write(data)` waits while the client is slow, and raises when it is gone.
local function stream_body(e, status, body, media, headers)
  local conn = e.conn
  if not conn:begin(status, media, headers) then return conn:finish() end
  local function drain(n)
    while n and n > 0 do
      local ok, _, code, dir = c_flush(conn)
      if ok then return end
      if code ~= "XK_EAGAIN" or not await(conn, dir, "write") then n = nil end
    end
    if not n then error("the client went away", 0) end
  end
  body(function(data)
    if c_closed(conn) then error("the client went away", 0) end
    for at = 1, #data, 262144 do
      drain(conn:chunk(#data <= 262144 and data or data:sub(at, at + 262143)))
    end
  end)
  return conn:finish()
end

local function answer(e, status, body, headers)
  local media
  if type(status) == "string" then status, body, headers = 200, status, body end
  if type(headers) == "string" then media, headers = headers, nil
  elseif not headers then media = body and TEXT end
  if type(body) == "function" then return status, stream_body(e, status, body, media, headers) end
  if body ~= nil and type(body) ~= "string" then
    error("the handler returned a " .. type(body) .. " as body: a string or a function is wanted", 0)
  end
  return status, c_respond(e.conn, status, body, media, headers)
end

local function count(server, status)
  local stats = server.stats
  stats.in_flight = stats.in_flight - 1
  local class = status // 100
  stats[class] = (stats[class] or 0) + 1
end

-- Requests of one connection until it ends. Errors of the handler come out; `recover` answers them.
local function requests(server, e)
  local conn, handler, stats, max = e.conn, server.handler, server.stats, server.max_requests
  while true do
    local req, text, code, dir, partial = c_next(conn)
    if req then
      e.mode, e.partial, e.trimmed = false, false, false
      e.served = e.served + 1
      stats.requests = stats.requests + 1
      stats.in_flight = stats.in_flight + 1
      if server.draining or e.served >= max then c_last(conn) end
      local status, body, headers = handler(req)
      local pending
      if type(status) == "userdata" then
        pending, status = c_send(conn, status)
      elseif type(body) == "string" and type(headers) == "string" then
        pending = c_respond(conn, status, body, headers)
      elseif status == nil then
        error("the handler returned nothing", 0)
      else
        status, pending = answer(e, status, body, headers)
      end
      count(server, status)
      e.tick = server.tick
      if pending ~= 0 then flush_later(server, e) end
    elseif code == "XK_EAGAIN" then
      if dir == "w" then
        e.mode, e.tick = "write", server.tick
      else
        if partial and not e.partial then e.partial, e.tick = true, server.tick end
        e.mode = "idle"
      end
      local id = wait_id()
      c_arm(conn, dir, id)
      wait(id)
      if c_closed(conn) then return end
    elseif code == "XK_EPROTO" then
      stats.refused = stats.refused + 1
      stats[dir // 100] = (stats[dir // 100] or 0) + 1
      c_respond(conn, dir, dir .. " " .. core.reason(dir) .. "\n" .. text .. "\n", TEXT)
      e.linger = true
    else
      return
    end
  end
end

local function traceback(err)
  if err == task.cancelled or getmetatable(err) == Failure then return err end
  return debug and debug.traceback(tostring(err), 2) or tostring(err)
end

-- The handler raised. True when the connection goes on.
local function recover(server, e, err)
  local conn, stats = e.conn, server.stats
  local failure = getmetatable(err) == Failure and err
  if not failure then
    stats.errors = stats.errors + 1
    if not (c_closed(conn)) then
      pcall(server.log, "error", "handler: " .. tostring(err), { peer = e.peer })
    end
  end
  e.mode, e.tick = "write", server.tick
  local status = failure and failure.status or 500
  local headers = failure and failure.headers
  local ok = not c_closed(conn) and pcall(c_respond, conn, status,
    failure and failure.text or "500 Internal Server Error\n", type(headers) == "table" and nil or headers or TEXT,
    type(headers) == "table" and headers or nil)
  count(server, ok and status or 500)
  return ok -- no: half an answer is out, or there is nobody any more
end

-- Lets the client read the last answer before the connection goes: unread input would reset it.
local function linger(e)
  local conn = e.conn
  e.mode, e.tick = "linger", e.server.tick
  while true do
    local ok, _, code, dir = c_flush(conn)
    if ok then ok, _, code, dir = conn:linger() end
    if ok or code ~= "XK_EAGAIN" or not await(conn, dir, "linger") then return end
  end
end

local function connection(server, e)
  while true do
    local ok, err = xpcall(requests, traceback, server, e)
    if not ok and err == task.cancelled then
      if e.mode ~= "idle" then server.stats.in_flight = math.max(0, server.stats.in_flight - 1) end
      drop(server, e)
      error(err, 0)
    end
    if ok then break end
    if not recover(server, e, err) then break end
  end
  if e.linger and not c_closed(e.conn) then pcall(linger, e) end
  drop(server, e)
end

-- A task that serves one connection after another: making one costs more than a short connection does.
local function worker(server, e)
  local w = { task = task.current() }
  while e do
    connection(server, e)
    w.e = nil
    if server.draining or #server.pool >= POOL then return end
    server.pool[#server.pool + 1] = w
    w.id = wait_id()
    wait(w.id)
    e = w.e
  end
end

local function dismiss(server)
  local pool = server.pool
  server.pool = {}
  for i = 1, #pool do task.wake(pool[i].id) end
end

-- How many ticks a connection may stay in a mode without progress. A handler that runs has no limit.
local function limits(opts)
  local function ticks(s) return math.max(1, math.ceil(s / TICK)) end
  return {
    idle = ticks(opts.idle_timeout or 60),
    head = ticks(opts.header_timeout or 10),
    body = ticks(opts.body_timeout or 60),
    write = ticks(opts.write_timeout or 60),
    linger = ticks(2),
  }
end

local function expire(server, e, limit)
  local mode, age = e.mode, server.tick - e.tick
  if not mode then return end
  if mode == "idle" and age >= 2 and not e.partial and not e.trimmed then
    e.trimmed = true
    if not c_closed(e.conn) then c_trim(e.conn) end
  end
  if mode == "idle" and (e.partial or e.served == 0) then mode = "head" end
  if age <= limit[mode] then return end
  server.stats.timeouts = server.stats.timeouts + 1
  if e.partial and mode == "head" then pcall(c_respond, e.conn, 408, "408 Request Timeout\n", TEXT) end
  c_close(e.conn) -- wakes its task
end

local function sweeper(server)
  local limit = limits(server.opts)
  while true do
    task.sleep(TICK)
    server.tick = server.tick + 1
    for e in pairs(server.open) do expire(server, e, limit) end
  end
end

local function admit(server, handle)
  local peer = server.opts.peers and core_stream.handle_peer(handle) or nil
  local raw = core_stream.from_handle(server.listener.world, handle)
  if raw then server:adopt(raw, peer) end
end

--- Serves one stream (of `xenkit.stream` or its core) as a connection of this server, in a task of its own.
function Server:adopt(stream, peer)
  local raw = type(stream) == "table" and stream.raw or stream
  local conn = core.server(raw, self.fields, self.max_body)
  local e = { conn = conn, stream = stream, server = self, peer = peer, mode = "idle", tick = self.tick, served = 0,
              partial = false, dirty = false, trimmed = false, linger = false }
  entries[conn] = e
  local w = table.remove(self.pool)
  if w then
    w.e = e
    self.open[e] = w.task
    task.wake(w.id)
  else
    self.open[e] = task.spawn(worker, self, e)
  end
  local stats = self.stats
  stats.connections = stats.connections + 1
  stats.accepted = stats.accepted + 1
end

-- The same for a listener that gives streams and no descriptors, as in a stub domain.
local function accept_streams(server)
  while not server.draining do
    local s, peer = server.listener:accept()
    if not s then return nil, peer, "XK_ECLOSED" end
    server:adopt(s, server.opts.peers and peer or nil)
  end
  return true
end

-- Accepts until the server is to stop.
local function accept_all(server)
  local raw = server.listener.raw
  while not server.draining do
    if server.stats.connections >= server.max_connections then
      server.stats.full = server.stats.full + 1
      server.full_id = wait_id()
      wait(server.full_id)
      server.full_id = nil
    else
      local handle, err, code = raw:accept()
      if handle then
        admit(server, handle)
      elseif code == "XK_EMFILE" then
        task.sleep(0.05) -- others must close first
      elseif code ~= "XK_EAGAIN" then
        server.log("error", "accept: " .. tostring(err), {})
        return nil, err, code
      else
        local id = wait_id()
        server.accept_id = id
        local ok, e, c = raw:arm(id)
        if not ok then return nil, e, c end
        wait(id)
      end
    end
  end
  return true
end

local function default_log(level, text) io.stderr:write("http: ", level, ": ", text, "\n") end

--- A server, which `:run()` serves with until `:drain` was called from another task or the running one is cancelled.
-- @param listener of `xenkit.stream`; nil for one that only gets streams through `:adopt`
-- @param handler function(req)
-- @param opts headers (for every answer), log(level, text, fields), peers (true: the log names them),
--   max_connections (10000), max_requests (of one connection; none), max_body (1 MiB), header_timeout (10 s),
--   idle_timeout (60), body_timeout (60), write_timeout (60)
function M.server(listener, handler, opts)
  opts = opts or {}
  return setmetatable({
    listener = listener, handler = handler, opts = opts,
    log = opts.log or default_log,
    fields = opts.headers and core.fields(opts.headers) or nil,
    max_connections = opts.max_connections or 10000,
    max_requests = opts.max_requests or math.huge,
    max_body = opts.max_body or 1 << 20,
    tick = 0, open = {}, dirty = {}, pool = {}, draining = false,
    stats = { requests = 0, in_flight = 0, connections = 0, accepted = 0, errors = 0, refused = 0, timeouts = 0,
              full = 0, [1] = 0, [2] = 0, [3] = 0, [4] = 0, [5] = 0 },
    cpu0 = os.clock(),
  }, Server)
end

--- Serves. @return true when drained, or nil, message, "XK_ENAME" when the listener fails
function Server:run()
  local _ <close> = task.spawn(sweeper, self)
  local _ <close> = task.spawn(flusher, self)
  self.running = true
  local _ <close> = setmetatable({}, { __close = function() -- also when cancelled or failing
    self.running, self.draining = false, true
    dismiss(self)
    if self.done_id then task.wake(self.done_id) end
  end })
  local ok, err, code
  if self.listener then
    if self.listener.raw then
      core_stream.handle_nodelay(self.listener.raw:handle()) -- connections inherit it
      ok, err, code = accept_all(self)
    else
      ok, err, code = accept_streams(self)
    end
    self.listener:close()
  else
    ok = true
    while not self.draining do
      self.accept_id = wait_id()
      wait(self.accept_id)
    end
  end
  while self.stats.connections > 0 do
    self.ended_id = wait_id()
    wait(self.ended_id, 0.25)
    if self.deadline and task.world():now() >= self.deadline then self:abort() end
  end
  return ok, err, code
end

--- Closes what is open, at once: handlers that run are cancelled.
function Server:abort()
  for e, t in pairs(self.open) do
    t:cancel()
    drop(self, e)
  end
end

--- Stops gently: accepts no more, closes idle connections, lets those that are being answered end with
-- "Connection: close", and after `seconds` (5) closes the rest. Waits until `:run` is about to return.
function Server:drain(seconds)
  if self.draining then return end
  self.draining = true
  self.deadline = task.world():now() + (seconds or 5)
  for e in pairs(self.open) do
    if e.mode == "idle" and not e.partial then c_close(e.conn) end
  end
  if self.accept_id then task.wake(self.accept_id) end
  if self.full_id then task.wake(self.full_id) end
  dismiss(self)
  while self.running do
    self.done_id = wait_id()
    wait(self.done_id, 0.25)
  end
end

--- A copy of the counters: requests, in_flight, connections (now), accepted, errors (of handlers), refused
-- (malformed), timeouts, full (waits for a free place), status {["1xx"] = n, ...}, busy (processor seconds).
function Server:counters()
  local s, out = self.stats, { status = {} }
  for k, v in pairs(s) do
    if type(k) == "string" then out[k] = v else out.status[k .. "xx"] = v end
  end
  out.busy = os.clock() - self.cpu0
  return out
end

--- `http.server(...)` and `:run()` in one. `opts.ready(server)` is called first, for whoever will drain it.
function M.serve(listener, handler, opts)
  local server = M.server(listener, handler, opts)
  if opts and opts.ready then opts.ready(server) end
  return server:run()
end

-- ------------------------------------------------------------------------------------------- files

local function page404(archive, opts)
  local body = opts.not_found or archive and archive:get("404.html") or opts.image and opts.image:get("404.html")
  return M.resource { status = 404, body = body or "404 Not Found\n",
                      type = body and "text/html; charset=utf-8" or TEXT }
end

local function media_of(name)
  local t = core.media_type(name)
  if t:find("^text/") and not t:find("charset", 1, true) then t = t .. "; charset=utf-8" end
  return t
end

-- What answers with files say where nothing else is asked for.
M.STATIC_FIELDS = { ["Cache-Control"] = "public, max-age=60" }

--- A handler for the files of an archive (`:get(name)`, `:list()`). Every answer is made in advance. "/x/" is
-- "x/index.html" and "/x" redirects there; names are looked up whole, so no path leads out of the archive.
-- @param archive nil: none
-- @param opts modified (seconds, of all files), headers (a table), prefix ("/" without; "/files/"), not_found (HTML),
--   add: a table name -> content of further files; image: of `xenkit.crunch`, answers for what is in neither
--   (`xenkit.http_image`, whose `cache` and `stats` may stand here)
function M.static(archive, opts)
  opts = opts or {}
  local prefix, table_of = opts.prefix or "/", {}
  local behind = opts.image and require "xenkit.http_image" (opts.image, opts)
  local function add(name, data)
    local r = M.resource { body = data, type = media_of(name), etag = core.etag(data), modified = opts.modified,
                           headers = opts.headers or M.STATIC_FIELDS }
    table_of[prefix .. name] = r
    local folder = name:match("^(.-)index%.html$")
    if folder and (folder == "" or folder:sub(-1) == "/") then
      table_of[prefix .. folder] = r
      local bare = (prefix .. folder):match("^(/.+)/$")
      if bare and not table_of[bare] then
        local there = core.encode(bare, "path") .. "/"
        table_of[bare] = M.resource { status = 308, body = "", headers = { Location = there } }
      end
    end
  end
  for _, name in ipairs(archive and archive:list() or {}) do add(name, archive:get(name)) end
  for name, data in pairs(opts.add or {}) do add(name, data) end
  local missing = page404(archive, opts)
  if behind then return function(req) return table_of[req.path] or behind(req) or missing end end
  return function(req) return table_of[req.path] or missing end
end

-- ------------------------------------------------------------------------------------------- routes

local function split(path)
  local parts = {}
  for part in path:gmatch("[^/]+") do parts[#parts + 1] = part end
  return parts
end

local function add_route(root, exact, key, fn)
  local method, path = key:match("^(%u+) (/.*)$")
  if not method then error("http.router: '" .. tostring(key) .. "' is not of the form 'GET /path/:name'", 3) end
  if not path:find("/[:*]") then
    exact[path] = exact[path] or {}
    exact[path][method] = fn
    return
  end
  local node, names = root, {}
  for _, part in ipairs(split(path)) do
    local kind, name = part:match("^([:*])(.+)$")
    if kind then names[#names + 1] = name end
    local slot = kind or part
    local place = kind and node or node.parts
    place[slot] = place[slot] or { parts = {} }
    node = place[slot]
    if kind == "*" then break end
  end
  node.methods = node.methods or {}
  node.methods[method] = { fn = fn, names = names }
end

local function find(node, parts, at, values)
  if at > #parts then return node.methods end
  local child = node.parts[parts[at]]
  local found = child and find(child, parts, at + 1, values)
  if found then return found end
  if node[":"] then
    values[#values + 1] = parts[at]
    found = find(node[":"], parts, at + 1, values)
    if found then return found end
    values[#values] = nil
  end
  if node["*"] then
    values[#values + 1] = table.concat(parts, "/", at)
    return node["*"].methods
  end
end

local function not_allowed(allowed)
  local list = {}
  for m in pairs(allowed) do list[#list + 1] = m end
  if allowed.GET and not allowed.HEAD then list[#list + 1] = "HEAD" end
  table.sort(list)
  return 405, "405 Method Not Allowed\n", { Allow = table.concat(list, ", "), ["Content-Type"] = TEXT }
end

--- A handler that chooses by method and path: `["GET /users/:id"] = function(req, params)`, `:name` for one segment,
-- `*name` for all that is left, `default` for the rest (404 without). An exact path goes before a pattern. GET answers
-- HEAD too.
function M.router(routes)
  local root, exact = { parts = {} }, {}
  for key, fn in pairs(routes) do
    if key ~= "default" then add_route(root, exact, key, fn) end
  end
  local patterns = next(root.parts) or root[":"] or root["*"]
  local default = routes.default or function() return 404, "404 Not Found\n", TEXT end
  return function(req)
    local path, method = req.path, req.method
    local by_method = exact[path]
    if by_method then
      local fn = by_method[method] or method == "HEAD" and by_method.GET
      if fn then return fn(req) end
      return not_allowed(by_method)
    end
    if not patterns then return default(req) end
    local values = {}
    by_method = find(root, split(path), 1, values)
    if not by_method then return default(req) end
    local route = by_method[method] or method == "HEAD" and by_method.GET
    if not route then return not_allowed(by_method) end
    local params = {}
    for i, name in ipairs(route.names) do params[name] = values[i] end
    return route.fn(req, params)
  end
end

--- One server-sent event as text: `{data =, event =, id =, retry =}`; send it with `write` and the media type
-- "text/event-stream".
function M.event(e)
  local out = {}
  for _, name in ipairs { "event", "id", "retry" } do
    if e[name] then out[#out + 1] = name .. ": " .. tostring(e[name]):gsub("[\r\n]", " ") .. "\n" end
  end
  for line in (tostring(e.data or "") .. "\n"):gmatch("(.-)\r?\n") do out[#out + 1] = "data: " .. line .. "\n" end
  out[#out + 1] = "\n"
  return table.concat(out)
end

-- ------------------------------------------------------------------------------------------- the client

local Client = {}
Client.__index = Client
Client.__name = "xenkit.http.client"

--- A client over a stream (of `xenkit.stream` or its core), which it takes. Many requests, one after another.
function M.client(stream, opts)
  local raw = type(stream) == "table" and stream.raw or stream
  return setmetatable({ conn = core.client(raw, nil, opts and opts.max_body or 16 << 20),
                        stream = stream, -- collecting it would close it
                        timeout = opts and opts.timeout or 30 }, Client)
end

local function step(self, fn, ...)
  while true do
    local r, text, code, dir = fn(self.conn, ...)
    if r or code ~= "XK_EAGAIN" then return r, text, code end
    if not await(self.conn, dir, nil, self.timeout) then
      if c_closed(self.conn) then return gone() end
      return nil, "the deadline passed", "XK_ETIMEDOUT"
    end
  end
end

--- One request: `method` (GET), `target` ("/"), `host`, `headers`, `body`.
-- @return {status, headers (small names), body, keep_alive}, or nil, message, "XK_ENAME"
function Client:request(r)
  local pending, err, code = self.conn:request(r.method or "GET", r.target or "/", r.host or "localhost", r.body,
                                               r.headers)
  if pending and pending > 0 then pending, err, code = step(self, c_flush) end
  if not pending then return nil, err, code end
  local res
  res, err, code = step(self, c_next)
  if not res then return nil, err or "the server closed the connection", code or "XK_ECLOSED" end
  local out = { status = res.status, headers = res:headers(), keep_alive = res.keep_alive }
  out.body, err, code = step(self, c_body, r.max_body or 16 << 20)
  if not out.body then return nil, err, code end
  return out
end

function Client:close() c_close(self.conn) end
Client.__close = Client.close

--- One request on a connection of its own: `url` ("http://host:port/path?query") or `target` and `host`; `connect` a
-- function(host, port) that gives a stream (of `xenkit.stream`), or `stream`; `method`, `headers`, `body`, `timeout`.
-- @return as `Client:request`
function M.request(r)
  local host, port, target, authority = r.host, 80, r.target, r.host
  if r.url then
    local u, err, code = core.uri(r.url)
    if not u then return nil, err, code end
    if u.scheme ~= "http" or not u.host then return nil, "http.request: only http:// URLs", "XK_EINVAL" end
    host, port = u.host, u.port or 80
    authority = u.port and host .. ":" .. port or host
    target = (u.path == "" and "/" or u.path) .. (u.query and "?" .. u.query or "")
  end
  local stream, err, code = r.stream, nil, nil
  if not stream then stream, err, code = r.connect(host, port) end
  if not stream then return nil, err, code end
  local client <close> = M.client(stream, r)
  return client:request { method = r.method, target = target, host = authority, headers = r.headers, body = r.body,
                          max_body = r.max_body }
end

return M
