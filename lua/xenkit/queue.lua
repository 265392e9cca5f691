--- The client of the job queue's domain (`scripts/services/queue.lua`).
--
--     local queue = require "xenkit.queue"
--     local q = queue.connect(ctx)
--     local put = assert(q:put { kind = "mail", payload = "to: ann", unique = "ann-1" })
--     for _, job in ipairs(assert(q:lease(10, 30, { wait = 5 }))) do
--       q:ack(job.id, job.token, "sent")
--     end
--
-- The queue's domain may end at any time: the client connects again, with growing pauses. A call that had no answer by
-- then is made again when that does no harm, until its time is up (`timeout`, default 30 s):
--
-- - `put` with a `unique` key: the second put finds the first one's job. Give a `window` when the job may be done
--   before the answer arrives, or the key is free again by then and the job runs twice.
-- - `ack`: repeated with the same token it is answered as the first. `extend`, `release`, `fail`: the token lets the
--   first one through only; the repeated one says `XK_EGONE`.
-- - `lease`: what a lost answer had leased comes back when that lease is over.
-- - `get`, `peek`, `result`, `stats`, `audit`, and `cancel` and `kick`, which say `XK_EGONE` and `XK_EINVAL` when they
--   were carried out the first time.
--
-- A `put` without a key is made once: `XK_ECLOSED` then says that nobody knows whether it was carried out.
-- @module xenkit.queue
local flow = require "xenkit.flow"
local rpc = require "xenkit.rpc"
local task = require "xenkit.task"

local M = {}
local Client = {}
Client.__index = Client
Client.__name = "xenkit.queue"

local TIMEOUT = 30
local PAUSE, PAUSE_MOST = 0.02, 0.5
local ANSWER = 5 -- seconds after which a queue that says nothing is taken for gone

--- A client; connects at the first call. @param name of the flow, "queue"
function M.connect(ctx, name)
  return setmetatable({ ctx = ctx, name = name or "queue", timeout = TIMEOUT, pause = PAUSE, reconnects = -1 }, Client)
end

local function drop(self, conn)
  if self.conn == conn then self.conn = nil end
  conn:close()
end

-- One task connects, the others wait for it. @return a client of xenkit.rpc
local function connection(self, deadline)
  local world = self.ctx.world
  while not self.conn and world:now() < deadline and not self.closed do
    if self.connecting then
      local id = task.wait_id()
      self.connecting[#self.connecting + 1] = id
      task.wait(id, deadline - world:now())
    else
      self.connecting = {}
      local _ <close> = setmetatable({}, { __close = function()
        local list = self.connecting
        self.connecting = nil
        for _, id in ipairs(list) do task.wake(id) end
      end })
      local s = flow.connect(self.ctx, self.name, math.min(5, deadline - world:now()))
      if s then
        self.conn, self.pause, self.reconnects = rpc.client(s), PAUSE, self.reconnects + 1
      else
        task.sleep(self.pause)
        self.pause = math.min(self.pause * 2, PAUSE_MOST)
      end
    end
  end
  if self.conn then return self.conn end
  return nil, self.name .. ": cannot reach the queue", "XK_ETIMEDOUT"
end

--- Calls a method of the queue. @param opts `once`: not again after a lost answer; `timeout` in all; `wait`: how long
-- the queue may take on purpose
-- @return result, or nil, message, code
function Client:call(method, params, opts)
  local world = self.ctx.world
  local wait = opts and opts.wait or 0
  local deadline = world:now() + (opts and opts.timeout or self.timeout + wait)
  while true do
    local conn, err, code = connection(self, deadline)
    if not conn then return nil, err, code end
    local r
    r, err, code = conn:call(method, params, math.max(0.01, math.min(ANSWER + wait, deadline - world:now())))
    if r ~= nil then return r end
    if code ~= "XK_ECLOSED" and code ~= "XK_ETIMEDOUT" then return nil, err, code end
    drop(self, conn)
    if self.closed or opts and opts.once or world:now() >= deadline then return nil, err, code end
    task.sleep(self.pause)
  end
end

--- Puts a job in: see `xenkit.jobs`. @return {id, existed}
function Client:put(job) return self:call("put", job, { once = not job.unique }) end

--- Leases up to `n` jobs for `seconds`. @param opts `kinds`, `wait` (seconds until there is one), `label` for people
-- @return a list of {id, kind, payload, priority, attempt, token, expires}
function Client:lease(n, seconds, opts)
  local p = { n = n, seconds = seconds, kinds = opts and opts.kinds, wait = opts and opts.wait,
    label = opts and opts.label }
  local r, err, code = self:call("lease", p, { wait = p.wait })
  if not r then return nil, err, code end
  return r.jobs
end

--- @return {again}: true when this token's ack had been carried out before
function Client:ack(id, token, result, opts)
  return self:call("ack", { id = id, token = token, result = result }, opts)
end

function Client:extend(id, token, seconds, opts)
  return self:call("extend", { id = id, token = token, seconds = seconds }, opts)
end

function Client:release(id, token, delay, opts)
  return self:call("release", { id = id, token = token, delay = delay }, opts)
end

--- @param opts `bury`: it can never succeed. @return {state}
function Client:fail(id, token, text, opts)
  return self:call("fail", { id = id, token = token, error = text, bury = opts and opts.bury }, opts)
end

function Client:get(id) return self:call("get", { id = id }) end
function Client:stats() return self:call("stats", {}) end
function Client:audit() return self:call("audit", {}) end
function Client:kick(id) return self:call("kick", { id = id }) end
function Client:cancel(id) return self:call("cancel", { id = id }) end

--- The first jobs of a state.
function Client:peek(state, n)
  local r, err, code = self:call("peek", { state = state, n = n })
  if not r then return nil, err, code end
  return r.jobs
end

--- What a job gave; nil, message, "XK_EAGAIN" while it is not done.
function Client:result(id)
  local r, err, code = self:call("result", { id = id })
  if not r then return nil, err, code end
  return r.result
end

function Client:close()
  self.closed = true
  if self.conn then drop(self, self.conn) end
end
Client.__close = Client.close

return M
