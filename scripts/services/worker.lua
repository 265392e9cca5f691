--- Does the jobs of a queue, several at a time.
--
-- A lease is extended at half of its time; when the queue says that it is over, the job is somebody else's and the work
-- stops. The queue's domain may end at any time: what runs goes on, and what is done is acknowledged once the queue is
-- back. Whether an answer was lost or not, a job is acknowledged under one token and counted once.
--
-- Asked to end, the worker takes nothing new, gives what runs a few seconds, and gives the rest back.
local queue = require "xenkit.queue"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local REPORT_EVERY = 0.25
local POLL = 1      -- seconds that one lease stays open; the end of the domain waits for it
local FINISH = 3    -- seconds for what runs at the end

-- ------------------------------------------------------------------------------------------- what can be done

local function number(text, most)
  local n = tonumber(text)
  if not n or not (n >= 0 and n <= most) then error("'" .. tostring(text) .. "' is no number in 0 .. " .. most, 0) end
  return n
end

--- Name -> function(argument, job) -> result. An error fails the job.
local WORK = {
  sleep = function(seconds)
    task.sleep(number(seconds, 86400))
    return "slept " .. seconds
  end,
  hash = function(rounds, job)
    local h = 2166136261
    for i = 1, number(rounds, 1e9) do
      h = ((h ~ (i + job.id)) * 16777619) & 0xffffffff
      if i % 20000 == 0 then task.yield() end
    end
    return ("%08x"):format(h)
  end,
  echo = function(_, job) return job.payload end,
  fail = function(text) error(text ~= "" and text or "told to fail", 0) end,
}

-- "sleep:0.01" for all jobs, or "job": each job's kind and payload say it.
local function work_of(spec)
  if spec == "job" then
    return function(job)
      local fn = WORK[job.kind]
      if not fn then error("no work called '" .. job.kind .. "'", 0) end
      return fn(job.payload, job)
    end
  end
  local name, argument = spec:match("^(%a+):?(.*)$")
  local fn = WORK[name]
  if not fn then error("work: '" .. spec .. "' is none of sleep:S, hash:N, echo, fail:TEXT, job", 0) end
  return function(job) return fn(argument, job) end
end

-- ------------------------------------------------------------------------------------------- one job

local Worker = {}
Worker.__index = Worker

local function late(self, job, what)
  self.late = self.late + 1
  self.ctx.log("info", what .. " came too late", { job = job.id, token = job.token })
end

-- Extends the lease until cancelled; when it is lost, ends the work.
local function keep(self, job, work)
  while true do
    task.sleep(self.seconds / 2)
    local ok, _, code = self.q:extend(job.id, job.token, self.seconds)
    if not ok and code == "XK_EGONE" then
      job.lost = true
      work:cancel()
      return
    end
  end
end

local function acknowledge(self, job, result)
  local ok, err, code = self.q:ack(job.id, job.token, result, { timeout = self.patience })
  if ok then
    self.done = self.done + 1
    if self.log then self.log:write(("%d %d %s\n"):format(job.id, job.token, self.ctx.name), 1) end
  elseif code == "XK_EGONE" then
    late(self, job, "ack")
  elseif code == "XK_EMSGSIZE" or code == "XK_EINVAL" then
    self.q:fail(job.id, job.token, "result: " .. err)
    self.failed = self.failed + 1
  else
    self.ctx.log("warning", "ack: " .. tostring(err), { job = job.id, code = code })
  end
end

local function do_job(self, job)
  local work <close> = task.spawn(pcall, self.work, job)
  local keeper <close> = task.spawn(keep, self, job, work)
  local joined, ok, result = pcall(work.join, work)
  if job.lost then return late(self, job, "extend") end
  if job.released then return end
  if not joined then error(ok, 0) end
  if not ok and result == task.cancelled then error(result, 0) end
  job.finished = true
  keeper:cancel()
  if ok then return acknowledge(self, job, result) end
  self.failed = self.failed + 1
  local done, err, code = self.q:fail(job.id, job.token, tostring(result), { timeout = self.patience })
  if not done and code == "XK_EGONE" then
    late(self, job, "fail")
  elseif not done then
    self.ctx.log("warning", "fail: " .. tostring(err), { job = job.id, code = code })
  end
end

local function start_job(self, job)
  self.busy = self.busy + 1
  self.jobs[job] = task.spawn(function()
    local _ <close> = setmetatable({}, { __close = function()
      self.busy = self.busy - 1
      self.jobs[job] = nil
      if self.free then task.wake(self.free) end
    end })
    local ok, err = pcall(do_job, self, job)
    if not ok and err ~= task.cancelled then self.ctx.log("error", tostring(err), { job = job.id }) end
  end)
end

-- ------------------------------------------------------------------------------------------- all of them

local function give_back(self, job)
  self.q:release(job.id, job.token, 0, { timeout = 1 })
end

local function pull(self)
  while not self.stopping do
    local n = self.concurrency - self.busy
    if n <= 0 then
      self.free = task.wait_id()
      task.wait(self.free)
      self.free = nil
    else
      local list, err, code = self.q:lease(n, self.seconds, { kinds = self.kinds, wait = POLL, label = self.ctx.name })
      if not list then
        if not self.stopping then self.ctx.log("warning", "lease: " .. tostring(err), { code = code }) end
        task.sleep(0.1)
      end
      for _, job in ipairs(list or {}) do
        if self.stopping then give_back(self, job) else start_job(self, job) end
      end
    end
  end
end

local function report(self)
  local last = {}
  while true do
    for _, name in ipairs { "done", "failed", "busy" } do
      if last[name] ~= self[name] and self.ctx.store:write("data/worker/" .. name, self[name]) then
        last[name] = self[name]
      end
    end
    task.sleep(REPORT_EVERY)
  end
end

-- Takes nothing new, waits for what runs, gives the rest back.
local function finish(self)
  local world = self.ctx.world
  self.stopping = true
  self.patience = FINISH
  if self.free then task.wake(self.free) end
  local deadline = world:now() + FINISH
  -- A lease that is on its way is waited for, but not a queue that is gone.
  while (self.busy > 0 or self.q.conn and not self.puller.done) and world:now() < deadline do task.sleep(0.02) end
  local returns = {}
  for job, t in pairs(self.jobs) do
    if not job.finished then
      job.released = true
      returns[#returns + 1] = task.spawn(give_back, self, job)
      t:cancel()
    end
  end
  for _, t in ipairs(returns) do t:join() end
  if #returns > 0 then self.ctx.log("info", "gave back", { jobs = #returns }) end
end

local worker -- of the running start, for stop

return {
  summary = "Does the jobs of a queue, several at a time.",
  params = {
    { "queue", default = "queue", help = "the queue's flow" },
    { "kinds", type = "list", help = "only jobs of these kinds; default: all" },
    { "concurrency", type = "integer", default = 4, min = 1, max = 1000, help = "jobs at a time" },
    { "lease", type = "number", default = 5, min = 0.1, max = 3600, help = "seconds, extended at half time" },
    { "work", default = "sleep:0.01",
      help = "what a job is: sleep:S, hash:N (rounds), echo, fail:TEXT, or job: its kind is the name, its payload " ..
        "the argument" },
    { "log", type = "path", default = "", help = "file that gets a line 'ID TOKEN NAME' for each acknowledged job" },
  },
  examples = { { 'domains = {{ name = "worker", service = "worker", replicas = 2, params = { work = "job" } }}',
    "in a world file, beside a queue" } },
  needs = { file = { log = { "$log", mode = "a" } } },
  start = function(ctx)
    local p = ctx.params
    local self = setmetatable({ ctx = ctx, q = queue.connect(ctx, p.queue), concurrency = p.concurrency,
      seconds = p.lease, kinds = p.kinds and #p.kinds > 0 and p.kinds or nil, work = work_of(p.work), jobs = {},
      done = 0, failed = 0, busy = 0, late = 0, patience = 60 }, Worker)
    if ctx.file.log then self.log = assert(stream.from_handle(ctx.world, ctx.file.log)) end
    worker = self
    local _ <close> = task.spawn(report, self)
    self.puller = task.spawn(pull, self)
    self.puller:join()
    while true do task.sleep(3600) end -- stopping; the end comes from outside
  end,
  stop = function() if worker and worker.puller then finish(worker) end end,
}
