--- The persistent job queue (`xenkit.jobs`) as a domain: over the flow "queue" for domains, over HTTP for tools.
--
-- Requests that arrive in one round of the loop, from whatever connections, become one transaction, and none of them is
-- answered before it is on the disk: an answer that somebody has seen survives kill -9 and a power cut.
--
-- Methods, of `xenkit.rpc` over the flow (see `xenkit.queue` for the client) and as `POST /METHOD` over HTTP:
--
--     put {kind, payload, priority, delay, max_attempts, unique, window, after} -> {id, existed}
--     lease {n, seconds, kinds, wait, label} -> {jobs = [{id, kind, payload, priority, attempt, token, expires}]}
--     ack {id, token, result} -> {again}     extend {id, token, seconds}    release {id, token, delay}
--     fail {id, token, error, bury} -> {state}
--     get {id}   peek {state, n}   result {id} -> {result}   stats   audit   kick {id | n}   cancel {id}
--
-- `lease` with `wait` stays open so many seconds until there is something. An ack that is repeated with its token
-- is answered as the first, with `again`. `audit` counts what the acknowledgement log knows: {acks, twice}, where
-- `twice` is the number of jobs that were acknowledged more than once.
--
-- **Fencing.** A lease belongs to the domain whose number the store gave for its connection, so nobody can finish
-- another one's job, not even with the right token. All HTTP clients are one worker, "http".
--
-- Text is UTF-8, as everywhere in JSON: whoever has other bytes encodes them.
local core = require "xenkit.core.db"
local flow = require "xenkit.flow"
local http = require "xenkit.http"
local jobs = require "xenkit.jobs"
local json = require "xenkit.json"
local rpc = require "xenkit.rpc"
local task = require "xenkit.task"

local LEASE_BYTES = 128 * 1024 -- of payloads in one answer, which must fit into a frame when each byte is escaped
local WAIT_MOST = 60
local ACKS_KEPT = 10000
local STATE_EVERY = 0.25
local IDLE_MOST = 5

local ACK_LOG = [[
CREATE TABLE IF NOT EXISTS queue_acks(n INTEGER PRIMARY KEY, job INTEGER NOT NULL, token INTEGER NOT NULL,
  worker TEXT NOT NULL, at REAL NOT NULL)]]

-- ------------------------------------------------------------------------------------------- the committer

local Queue = {}
Queue.__index = Queue

-- Runs `fn(q)` in the next transaction. Waits until that is durable. @return what fn returned, or nil, message, code
local function submit(self, fn)
  local r = { fn = fn, wait = task.wait_id() }
  local list = self.pending
  list[#list + 1] = r
  if self.idle then
    task.wake(self.idle)
    self.idle = nil
  end
  task.wait(r.wait)
  local a = r.answer
  return table.unpack(a, 1, a.n)
end

-- Raised when half of a request is done: all of the transaction is undone.
local Half = { __name = "xenkit.queue.half" }

-- Wrong use raises, which concerns that request alone; the database's errors are kept by the engine and undo all.
local function run_all(q, list)
  for _, r in ipairs(list) do
    local a = table.pack(pcall(r.fn, q))
    if getmetatable(a[2]) == Half then error(a[2], 0) end
    if a[1] then
      r.answer = table.pack(table.unpack(a, 2, a.n))
    else
      r.answer = table.pack(nil, (tostring(a[2]):gsub("^[^:\n]+:%d+: ", "")), "XK_EINVAL")
    end
  end
  return true
end

-- Lets as many waiting leases try again as there are jobs.
local function wake_waiters(self)
  local s = #self.waiters > 0 and self.q:stats()
  local n = s and math.min(s.ready, #self.waiters) or 0
  for _ = 1, n do task.wake(table.remove(self.waiters, 1).wait) end
end

local function commit_all(self)
  local list = self.pending
  self.pending = {}
  local called, ok, err, code = pcall(self.q.batch, self.q, run_all, list)
  if not called then
    if getmetatable(ok) ~= Half then error(ok, 0) end
    ok, err, code = nil, ok.message, ok.code
  end
  self.commits, self.requests = self.commits + 1, self.requests + #list
  for _, r in ipairs(list) do
    if not ok then r.answer = table.pack(nil, err, code) end
    task.wake(r.wait)
  end
  if not ok then self.ctx.log("error", "transaction: " .. tostring(err), { code = code, requests = #list }) end
  wake_waiters(self)
  if self.alarm then task.wake(self.alarm) end
end

local function committer(self)
  while true do
    if #self.pending == 0 then
      self.idle = task.wait_id()
      task.wait(self.idle)
    end
    task.yield() -- whoever has a request in this round joins
    commit_all(self)
  end
end

-- Leases that ran out and delays that are over. A lease for no kind at all does both and takes nothing.
local function time_keeper(self)
  while true do
    local left = self.q:next_time() - self.ctx.world:wallclock()
    if left > 0 then
      self.alarm = task.wait_id()
      task.wait(self.alarm, math.min(left, IDLE_MOST))
      self.alarm = nil
    end
    if self.q:next_time() <= self.ctx.world:wallclock() then
      submit(self, function(q) return q:lease("queue", 1, 0, {}) end)
      task.sleep(0.01)
    end
  end
end

-- ------------------------------------------------------------------------------------------- the methods

local function lease_some(self, who, p)
  return submit(self, function(q)
    local list, err, code = q:lease(who, p.n or 1, p.seconds or 30, p.kinds)
    if not list then return nil, err, code end
    local size, kept = 0, json.array {}
    for _, job in ipairs(list) do
      size = size + #job.payload
      if #kept > 0 and size > LEASE_BYTES then
        q:release(job.id, job.token)
      else
        kept[#kept + 1] = job
      end
    end
    return kept
  end)
end

local function remove(list, item)
  for i, x in ipairs(list) do
    if x == item then
      table.remove(list, i)
      return
    end
  end
end

local function wait_for_jobs(self, conn, seconds)
  local w = { wait = task.wait_id(), conn = conn }
  self.waiters[#self.waiters + 1] = w
  local _ <close> = setmetatable({}, { __close = function() remove(self.waiters, w) end })
  return task.wait(w.wait, seconds)
end

local function give_back(self, list)
  submit(self, function(q)
    for _, job in ipairs(list) do q:release(job.id, job.token) end
    return true
  end)
end

local function lease(self, conn, p)
  local who = conn.who .. (type(p.label) == "string" and " " .. p.label:sub(1, 100) or "")
  local deadline = self.ctx.world:now() + math.min(tonumber(p.wait) or 0, WAIT_MOST)
  while true do
    local list, err, code = lease_some(self, who, p)
    if not list then return nil, err, code end
    if conn.gone then
      if #list > 0 then give_back(self, list) end
      return nil, "the connection ended", "XK_ECLOSED"
    end
    local left = deadline - self.ctx.world:now()
    if #list > 0 or left <= 0 or self.ctx.stopping() then return { jobs = list } end
    wait_for_jobs(self, conn, left)
  end
end

-- nil, message, code unless the job's lease, if there is one, is of this worker.
local function own(self, conn, id)
  local found, worker = self.worker_of:values(id)
  if found and worker and worker ~= conn.who and worker:sub(1, #conn.who + 1) ~= conn.who .. " " then
    return nil, ("job %d is leased to %s, not to %s"):format(id, worker, conn.who), "XK_EPERM"
  end
  return true
end

local function ack(self, conn, p)
  return submit(self, function(q)
    local mine, complaint, why = own(self, conn, p.id)
    if not mine then return nil, complaint, why end
    local ok, err, code = q:ack(p.id, p.token, p.result)
    if ok then
      local logged, e, c = self.log_ack:run(p.id, p.token, conn.who, self.ctx.world:wallclock())
      if not logged then error(setmetatable({ message = e, code = c }, Half), 0) end
      return { again = false }
    end
    if code ~= "XK_EGONE" then return nil, err, code end
    local found, state, token = self.state_of:values(p.id)
    if found and state == "done" and token == p.token then return { again = true } end
    return nil, err, code
  end)
end

-- Texts that the engine cut may end inside a character.
local function utf8_only(v)
  if type(v) ~= "string" or utf8.len(v) then return v end
  return (v:gsub("[\128-\255]", "?"))
end

local function view(job)
  for k, v in pairs(job) do job[k] = utf8_only(v) end
  return job
end

-- A method of one engine call on a job that the caller must hold.
local function holder(fn)
  return function(self, conn, p)
    return submit(self, function(q)
      local mine, err, code = own(self, conn, p.id)
      if not mine then return nil, err, code end
      return fn(q, p)
    end)
  end
end

local function plain(fn)
  return function(self, _, p)
    return submit(self, function(q) return fn(q, p, self) end)
  end
end

local function figures(q, self)
  local s, err, code = q:stats()
  if not s then return nil, err, code end
  s.commits, s.requests, s.waiters = self.commits, self.requests, #self.waiters
  return s
end

local METHODS = {
  lease = lease,
  ack = ack,
  extend = holder(function(q, p) return q:extend(p.id, p.token, p.seconds or 30) end),
  release = holder(function(q, p) return q:release(p.id, p.token, p.delay) end),
  fail = holder(function(q, p)
    local ok, state, code
    if p.bury then
      ok, state, code = q:bury(p.id, p.token, p.error)
    else
      ok, state, code = q:fail(p.id, p.token, p.error)
    end
    if not ok then return nil, state, code end
    return { state = state or "dead" }
  end),
  put = plain(function(q, p)
    local id, existed, code = q:put(p)
    if not id then return nil, existed, code end
    return { id = id, existed = existed }
  end),
  get = plain(function(q, p)
    local job, err, code = q:get(p.id)
    if not job then return nil, err, code end
    return view(job)
  end),
  peek = plain(function(q, p)
    local list, err, code = q:peek(p.state or "ready", math.min(math.tointeger(p.n) or 20, 500))
    if not list then return nil, err, code end
    for _, job in ipairs(list) do view(job) end
    return { jobs = json.array(list) }
  end),
  result = plain(function(q, p)
    local text, err, code = q:result(p.id)
    if not text then return nil, err, code end
    return { result = utf8_only(text) }
  end),
  kick = plain(function(q, p)
    if p.id then return q:kick(p.id) end
    local n, err, code = q:kick_all(p.n or 100)
    if not n then return nil, err, code end
    return { kicked = n }
  end),
  cancel = plain(function(q, p) return q:cancel(p.id) end),
  stats = plain(function(q, _, self) return figures(q, self) end),
  audit = plain(function(_, _, self)
    local _, acks, twice = self.audit:values()
    return { acks = acks, twice = twice }
  end),
}

-- JSON's nulls are Lua's absent values.
local function arguments(p)
  if type(p) ~= "table" then return nil, "the parameters are an object", "XK_EINVAL" end
  local out = {}
  for k, v in pairs(p) do if v ~= json.null then out[k] = v end end
  return out
end

local function call(self, conn, name, p)
  local method = METHODS[name]
  if not method then return nil, "no method '" .. tostring(name) .. "'", "XK_ENOSYS" end
  local args, err, code = arguments(p)
  if not args then return nil, err, code end
  return method(self, conn, args)
end

-- ------------------------------------------------------------------------------------------- the ways in

local function serve_domain(self, s)
  local c <close> = s
  local conn = { who = "domain " .. s.peer, gone = false }
  local methods = {}
  for name in pairs(METHODS) do methods[name] = function(p) return call(self, conn, name, p) end end
  rpc.serve(c, methods)
  conn.gone = true
  for _, w in ipairs(self.waiters) do if w.conn == conn then task.wake(w.wait) end end
end

local function serve_flow(self)
  local l = assert(flow.listen(self.ctx, "queue"))
  while true do
    local s, err = l:accept()
    if not s then error("flow queue: " .. tostring(err), 0) end
    task.detach(serve_domain, self, s)
  end
end

local STATUS = { XK_EINVAL = 400, XK_EPROTO = 400, XK_EPERM = 403, XK_ENOENT = 404, XK_ENOSYS = 404, XK_EAGAIN = 409,
  XK_EGONE = 409, XK_ECANCELED = 409, XK_EEXIST = 409, XK_EMSGSIZE = 413, XK_EDQUOT = 429 }
local HTTP = { who = "http", gone = false }

local function reply(result, err, code)
  if result ~= nil then return 200, json.encode { result = result } .. "\n", "application/json" end
  return STATUS[code] or 500, json.encode { error = { code = code, message = utf8_only(tostring(err)) } } .. "\n",
    "application/json"
end

local function http_handler(self)
  return http.router {
    ["GET /healthz"] = function() return 200, "ok\n", "text/plain" end,
    ["GET /stats"] = function() return reply(call(self, HTTP, "stats", {})) end,
    ["GET /audit"] = function() return reply(call(self, HTTP, "audit", {})) end,
    ["GET /jobs/:id"] = function(_, p)
      return reply(call(self, HTTP, "get", { id = math.tointeger(tonumber(p.id)) }))
    end,
    ["POST /:method"] = function(req, p)
      local text = req:read_body()
      local params, err = {}, nil
      if text ~= "" then params, err = json.decode(text) end
      if not params then return reply(nil, err, "XK_EPROTO") end
      return reply(call(self, HTTP, p.method, params))
    end,
  }
end

-- ------------------------------------------------------------------------------------------- the store

local function publish(self, last)
  local s = self.q:stats()
  if not s then return end
  local now = { ready = s.ready, leased = s.leased, delayed = s.delayed, done = s.done, dead = s.dead,
    oldest = ("%.1f"):format(s.oldest_ready_age or 0) }
  for name, v in pairs(now) do
    if last[name] ~= v and self.ctx.store:write("data/queue/" .. name, v) then last[name] = v end
  end
end

local function reporter(self)
  local last = {}
  while true do
    publish(self, last)
    task.sleep(STATE_EVERY)
  end
end

local function prune_log(self)
  while true do
    task.sleep(30)
    submit(self, function()
      self.prune:run(ACKS_KEPT)
      return true
    end)
  end
end

local function open(ctx)
  local db = assert(core.open { main = ctx.file.db, wal = ctx.file.wal })
  local q = assert(jobs.open(db, { now = function() return ctx.world:wallclock() end, max_payload = LEASE_BYTES,
    max_jobs = ctx.params.max_jobs, max_attempts = ctx.params.attempts, keep_done = ctx.params.keep }))
  assert(db:exec(ACK_LOG))
  return setmetatable({
    ctx = ctx, q = q, pending = {}, waiters = {}, commits = 0, requests = 0,
    worker_of = assert(db:prepare "SELECT worker FROM jobs WHERE id = ?"),
    state_of = assert(db:prepare "SELECT state, token FROM jobs WHERE id = ?"),
    log_ack = assert(db:prepare "INSERT INTO queue_acks(job, token, worker, at) VALUES(?, ?, ?, ?)"),
    audit = assert(db:prepare [[SELECT count(*), count(*) FILTER (WHERE c > 1) FROM
      (SELECT count(*) AS c FROM queue_acks GROUP BY job)]]),
    prune = assert(db:prepare [[DELETE FROM queue_acks WHERE n <= (SELECT max(n) FROM queue_acks) - ?]]),
  }, Queue)
end

-- All parts run until one ends, which is the end of the domain: domain 0 starts it anew.
local function run_parts(parts)
  local ended, why = task.wait_id(), "a part of the queue ended"
  for _, part in ipairs(parts) do
    task.spawn(function()
      local ok, err = pcall(table.unpack(part))
      if not ok and err == task.cancelled then error(err, 0) end
      if not ok then why = err end
      task.wake(ended)
    end)
  end
  task.wait(ended)
  error(why, 0)
end

return {
  summary = "Keeps jobs on the disk until they are done: leases, retries, priorities, delays. Domains use the flow " ..
    "'queue', tools HTTP with JSON: POST /put, /lease, /ack, /extend, /release, /fail, /get, /peek, /result, /kick, " ..
    "/cancel with the parameters as an object; GET /stats, /audit, /jobs/ID, /healthz. Answers are " ..
    "{\"result\": ...} or {\"error\": {\"code\", \"message\"}}.",
  params = {
    { "data", type = "path", default = "queue-data", help = "folder of the database; made when missing" },
    { "port", type = "integer", default = 0, min = 0, max = 65535, help = "TCP port for HTTP; 0: none, domains only" },
    { "address", default = "127.0.0.1", help = "address to listen on" },
    { "attempts", type = "integer", default = 5, min = 1, max = 1000, help = "of a job that does not say itself" },
    { "max_jobs", type = "integer", default = 100000, min = 1, help = "that are not finished; more are refused" },
    { "keep", type = "integer", default = 10000, min = 0, help = "finished jobs that are kept" },
  },
  examples = {
    { "xenkit run scripts/services/queue.lua data=/tmp/q port=7878", "alone, for tools" },
    { [[curl -d '{"kind":"mail","payload":"to: ann","unique":"ann-1"}' http://127.0.0.1:7878/put]], "puts a job" },
    { [[curl -d '{"n":1,"seconds":30,"wait":10}' http://127.0.0.1:7878/lease]], "takes one, waiting up to 10 s" },
    { [[curl -d '{"id":1,"token":1,"result":"sent"}' http://127.0.0.1:7878/ack]], "it is done" },
  },
  needs = {
    file = {
      db = { "$data/queue.db", mode = "rw", lock = true },
      wal = { "$data/queue.db-wal", mode = "rw" },
    },
    tcp = { http = { "$address:$port", when = "port" } },
  },
  offers = { "queue" },
  start = function(ctx)
    local self = open(ctx)
    local s = assert(self.q:stats())
    ctx.log("info", "queue open", { ready = s.ready, leased = s.leased, delayed = s.delayed, done = s.done,
      dead = s.dead })
    local parts = { { committer, self }, { time_keeper, self }, { reporter, self }, { prune_log, self },
      { serve_flow, self } }
    if ctx.tcp.http then
      parts[#parts + 1] = { http.serve, ctx.tcp.http, http_handler(self), { log = ctx.log } }
    end
    run_parts(parts)
  end,
}
