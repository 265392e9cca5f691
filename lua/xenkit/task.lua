--- Tasks: straight-line code in coroutines over a world's loop.
--
--     local task = require "xenkit.task"
--     task.run(world, function()
--       local t = task.spawn(function() task.sleep(1); print "one second" end)
--       t:join()
--     end)
--
-- Tasks form a tree: a task ends only after its children have; one that fails or is cancelled cancels them first.
-- Cancelling unwinds by an error, so `<close>` variables and pcall see it; a cancelled task cannot wait again. Every
-- wait may carry a deadline: `task.with_timeout(seconds, fn, ...)`, or the `timeout` of the call itself.
-- @module xenkit.task
local M = {}

local co_create, co_resume, co_yield, co_status, co_close =
  coroutine.create, coroutine.resume, coroutine.yield, coroutine.status, coroutine.close

--- The error value of a cancelled task.
M.cancelled = setmetatable({}, { __tostring = function() return "task cancelled" end, __name = "xenkit.cancelled" })

local Task = {}
Task.__index = Task
Task.__name = "xenkit.task"

local world            -- of the running scheduler
local current          -- the running task
local ready, ready_n = {}, 0
local waiting = {}     -- wait number -> task
local last_id = 0
local live = 0         -- tasks that have not ended
local timers = {}      -- free timer objects
local fired = {}

local function push_ready(t, id)
  if t.queued then return end
  t.queued = true
  t.woken_by = id
  ready_n = ready_n + 1
  ready[ready_n] = t
end

--- A fresh wait number for the running task. For modules that wait on something of their own: hand the number to it,
-- then call `task.wait`.
function M.wait_id()
  last_id = last_id + 1
  return last_id
end

local function check_cancel(t)
  if t.why and not t.unwinding then
    t.unwinding = true
    error(t.why, 0)
  end
end

--- Waits until number `id` comes true. Raises `task.cancelled` when the task is cancelled meanwhile.
-- @param id from `task.wait_id`
-- @param timeout seconds, nil: none
-- @return true, or false at the timeout
function M.wait(id, timeout)
  local t = current
  if not t then error("this call waits and needs a task: use task.run", 2) end
  check_cancel(t)
  if t.unwinding then error(M.cancelled, 0) end
  local timer
  if timeout then
    timer = table.remove(timers) or world:timer()
    last_id = last_id + 1
    timer:start(world:now() + timeout, last_id)
    waiting[last_id] = t
    t.timer_id = last_id
  end
  waiting[id] = t
  t.wait_id = id
  local which = co_yield()
  waiting[id] = nil
  t.wait_id = nil
  if timer then
    waiting[t.timer_id] = nil
    timer:stop()
    timers[#timers + 1] = timer
    local timed_out = which == t.timer_id
    t.timer_id = nil
    check_cancel(t)
    return not timed_out
  end
  check_cancel(t)
  return true
end

--- Sleeps. @param seconds may be 0: lets others run.
function M.sleep(seconds)
  if seconds <= 0 then return M.yield() end
  M.wait(M.wait_id(), seconds)
end

--- Lets all other tasks that can run do so first.
function M.yield()
  local t = current
  check_cancel(t)
  push_ready(t)
  co_yield()
  check_cancel(t)
end

--- Waits until `task.wake` is called with the token that `arm` got.
-- @param arm function(token), called at once
-- @param timeout seconds
-- @return true, or false at the timeout
function M.park(arm, timeout)
  local id = M.wait_id()
  arm(id)
  return M.wait(id, timeout)
end

--- Wakes who waits for `id`; nobody is fine.
function M.wake(id)
  local t = waiting[id]
  if t then
    waiting[id] = nil
    push_ready(t, id)
  end
end

local function finish(t, ok, ...)
  t.done = true
  t.ok = ok
  t.results = table.pack(...)
  live = live - 1
  if t.parent then t.parent.children[t] = nil end
  for id in pairs(t.joiners) do M.wake(id) end
  t.joiners = {}
end

local function body(t, fn, ...)
  local function ended(ok, ...)
    -- Children first: nothing outlives its parent.
    if not ok then for c in pairs(t.children) do c:cancel() end end
    while next(t.children) do
      local c = next(t.children)
      if t.why then for child in pairs(t.children) do child:cancel() end end -- cancelled while it waits for them
      t.unwinding, t.why = false, nil
      pcall(c.join, c)
    end
    return ok, ...
  end
  return ended(xpcall(fn, function(e)
    if e == M.cancelled then return e end
    if type(e) == "table" then return e end
    return debug and debug.traceback(tostring(e), 2) or tostring(e)
  end, ...))
end

--- Starts `fn(...)` as a child of the running task (or of `opts.parent`).
-- @return the task
function M.spawn(fn, ...)
  local t = setmetatable({ children = {}, joiners = {}, parent = current }, Task)
  local args = table.pack(...)
  t.co = co_create(function()
    return body(t, fn, table.unpack(args, 1, args.n))
  end)
  if current then current.children[t] = true end
  live = live + 1
  push_ready(t)
  return t
end

--- As `spawn`, but the task belongs to nobody: it lives until it ends or the scheduler does. Its error goes to
-- `task.on_error`.
function M.detach(fn, ...)
  local saved = current
  current = nil
  local t = M.spawn(fn, ...)
  current = saved
  t.detached = true
  return t
end

--- What happens with the error of a detached task. Default: raises out of `task.run`.
function M.on_error(err) error(err, 0) end

--- Waits for the end of a task. @return what its function returned; raises its error.
function Task:join(timeout)
  while not self.done do
    local id = M.wait_id()
    self.joiners[id] = true
    local ok = M.wait(id, timeout)
    self.joiners[id] = nil
    if not ok then return nil, "the deadline passed", "XK_ETIMEDOUT" end
  end
  self.joined = true
  if not self.ok then error(self.results[1], 0) end
  return table.unpack(self.results, 1, self.results.n)
end

--- Cancels a task: its present or next wait raises `task.cancelled`. Ending it takes until it has unwound.
function Task:cancel(reason)
  if self.done or self.cancel_sent then return end
  self.cancel_sent = true
  self.why = reason or M.cancelled
  push_ready(self)
end
Task.__close = function(t) if not t.done then t:cancel(); pcall(t.join, t) end end

function M.current() return current end

--- Runs `fn(...)` with a time limit. @return its results, or nil, message, "XK_ETIMEDOUT"
function M.with_timeout(seconds, fn, ...)
  local t = M.spawn(fn, ...)
  local results = table.pack(pcall(t.join, t, seconds))
  if not t.done then
    t:cancel()
    pcall(t.join, t)
    return nil, "the deadline passed", "XK_ETIMEDOUT"
  end
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

local function stepped(t, ok, good, ...)
  current = nil
  if co_status(t.co) ~= "dead" then return end
  if not ok then -- an error beside xpcall: out of memory or in a __close; it is in `good`
    co_close(t.co)
    finish(t, false, good)
  else
    finish(t, good, ...)
  end
  if not t.ok and t.results[1] ~= M.cancelled and t.detached then M.on_error(t.results[1]) end
end

local function step(t)
  t.queued = false
  local id = t.woken_by
  t.woken_by = nil
  current = t
  stepped(t, co_resume(t.co, id))
end

local function round(root)
  local n = ready_n
  if n > 0 then
    local batch = ready
    ready, ready_n = {}, 0
    for i = 1, n do
      local t = batch[i]
      if not t.done then step(t) end
    end
  end
  if root.done then return end
  local count, err = world:run(ready_n > 0 and 0 or nil, fired)
  if not count then error("loop: " .. tostring(err), 0) end
  for i = 1, count do
    local id = fired[i]
    local t = waiting[id]
    if t then
      waiting[id] = nil
      push_ready(t, id)
    end
  end
end

--- Runs `fn(...)` as the root task until it has ended, on world `w`.
-- @return what it returned; raises its error
function M.run(w, fn, ...)
  if world then error("task.run is running already", 2) end
  world = w
  local t = M.spawn(fn, ...)
  local ok, err = true, nil
  while not t.done and ok do
    ok, err = pcall(round, t)
  end
  for _, timer in ipairs(timers) do timer:close() end
  world, ready, ready_n, waiting, timers, live = nil, {}, 0, {}, {}, 0
  if not ok then error(err, 0) end
  if not t.ok then error(t.results[1], 0) end
  return table.unpack(t.results, 1, t.results.n)
end

--- The world of the running scheduler, or nil.
function M.world() return world end

--- How many tasks have not ended.
function M.count() return live end

return M
