-- What a job queue should do, as plainly as it can be said: a table of jobs, every question answered by looking at all
-- of them. jobs_spec runs it beside the real queue. Jitter is 0 here, old jobs are never deleted.
local model = {}
model.__index = model

local LIVE = { waiting = true, delayed = true, ready = true, leased = true, dead = true }

function model.new(options)
  return setmetatable({ jobs = {}, keys = {}, next_id = 1, token = 0, max_jobs = options.max_jobs,
    backoff = options.backoff, backoff_most = options.backoff_most, late = 0, late_acks = 0, expired = 0 }, model)
end

local function copy(t)
  if type(t) ~= "table" then return t end
  local out = {}
  for k, v in pairs(t) do out[k] = copy(v) end
  return out
end

function model:copy() return setmetatable(copy(self), model) end

function model:count()
  local n = { waiting = 0, delayed = 0, ready = 0, leased = 0, done = 0, dead = 0, cancelled = 0 }
  for _, job in pairs(self.jobs) do n[job.state] = n[job.state] + 1 end
  return n
end

function model:free(id, till)
  for key, k in pairs(self.keys) do
    if k.id == id then self.keys[key] = till and { id = id, till = till } or nil end
  end
end

function model:put(now, job)
  local key = job.unique and self.keys[job.unique]
  if key and (not key.till or key.till > now) then return key.id, true end
  local live, pending = 0, {}
  for _, j in pairs(self.jobs) do live = live + (LIVE[j.state] and 1 or 0) end
  if live >= self.max_jobs then return nil, "XK_EDQUOT" end
  for _, id in ipairs(job.after or {}) do
    local parent = self.jobs[id]
    if not parent then return nil, "XK_ENOENT" end
    if parent.state == "dead" or parent.state == "cancelled" then return nil, "XK_ECANCELED" end
    if parent.state ~= "done" then pending[id] = true end
  end
  local id = self.next_id
  self.next_id = id + 1
  local due = job.delay and job.delay > 0 and now + job.delay or nil
  self.jobs[id] = {
    id = id, state = next(pending) and "waiting" or due and "delayed" or "ready", kind = job.kind, attempt = 0,
    priority = job.priority or 0, max = job.max_attempts or 5, due = due, pending = pending, unique = job.unique,
    window = job.window or 0,
  }
  if job.unique then self.keys[job.unique] = { id = id } end
  return id, false
end

function model:sorted(state)
  local list = {}
  for _, job in pairs(self.jobs) do
    if job.state == state then list[#list + 1] = job end
  end
  table.sort(list, function(a, b)
    if a.priority ~= b.priority then return a.priority > b.priority end
    return a.id < b.id
  end)
  return list
end

function model:over(job, state)
  job.state, job.due = state, nil
  self:free(job.id, nil)
  for _, child in pairs(self.jobs) do
    if child.state == "waiting" and child.pending[job.id] then self:over(child, "cancelled") end
  end
end

function model:expire(now)
  local back, dead = 0, 0
  for _, job in ipairs(self:sorted "leased") do
    if job.due <= now then
      self.expired = self.expired + 1
      if job.attempt >= job.max then
        self:over(job, "dead")
        dead = dead + 1
      else
        job.state, job.due = "ready", nil
        back = back + 1
      end
    end
  end
  return back, dead
end

function model:lease(now, n, seconds, kinds)
  local out, wanted = {}, nil
  self:expire(now)
  for _, job in ipairs(self:sorted "delayed") do
    if job.due <= now then job.state, job.due = "ready", nil end
  end
  for _, kind in ipairs(kinds or {}) do
    wanted = wanted or {}
    wanted[kind] = true
  end
  for _, job in ipairs(self:sorted "ready") do
    if #out < n and (not wanted or wanted[job.kind]) then
      self.token = self.token + 1
      job.state, job.due, job.token, job.attempt = "leased", now + seconds, self.token, job.attempt + 1
      out[#out + 1] = job
    end
  end
  return out
end

function model:held(now, id, token, counter)
  local job = self.jobs[id]
  if job and job.state == "leased" and job.token == token and job.due > now then return job end
  self[counter] = self[counter] + 1
end

function model:ack(now, id, token)
  local job = self:held(now, id, token, "late_acks")
  if not job then return nil, "XK_EGONE" end
  job.state, job.due = "done", nil
  self:free(id, job.window > 0 and now + job.window or nil)
  for _, child in pairs(self.jobs) do
    if child.state == "waiting" and child.pending[id] then
      child.pending[id] = nil
      if not next(child.pending) then
        child.state = child.due and child.due > now and "delayed" or "ready"
        child.due = child.state == "delayed" and child.due or nil
      end
    end
  end
  return true
end

function model:extend(now, id, token, seconds)
  local job = self:held(now, id, token, "late")
  if not job then return nil, "XK_EGONE" end
  job.due = now + seconds
  return true
end

local function back(job, now, wait)
  job.state = wait > 0 and "delayed" or "ready"
  job.due = wait > 0 and now + wait or nil
end

function model:release(now, id, token, delay)
  local job = self:held(now, id, token, "late")
  if not job then return nil, "XK_EGONE" end
  job.attempt = job.attempt - 1
  back(job, now, delay)
  return true
end

function model:fail(now, id, token)
  local job = self:held(now, id, token, "late")
  if not job then return nil, "XK_EGONE" end
  if job.attempt >= job.max then
    self:over(job, "dead")
  else
    back(job, now, math.min(self.backoff * 2.0 ^ (job.attempt - 1), self.backoff_most))
  end
  return true, job.state
end

function model:bury(now, id, token)
  local job = self:held(now, id, token, "late")
  if not job then return nil, "XK_EGONE" end
  self:over(job, "dead")
  return true
end

function model:kick(now, id)
  local job = self.jobs[id]
  if not job then return nil, "XK_ENOENT" end
  if job.state ~= "dead" then return nil, "XK_EINVAL" end
  local key = job.unique and self.keys[job.unique]
  if key and (not key.till or key.till > now) then return nil, "XK_EEXIST" end
  if job.unique then self.keys[job.unique] = { id = id } end
  job.state, job.attempt = "ready", 0
  return true
end

function model:cancel(_, id)
  local job = self.jobs[id]
  if not job then return nil, "XK_ENOENT" end
  if job.state == "done" or job.state == "cancelled" then return nil, "XK_EGONE" end
  self:over(job, "cancelled")
  return true
end

return model
