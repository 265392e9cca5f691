--- A persistent job queue on `xenkit.core.db`.
--
--     local q = assert(jobs.open(db, { now = clock }))
--     local id = assert(q:put { kind = "mail", payload = "to: ann" })
--     for _, job in ipairs(assert(q:lease("worker 7", 10, 30))) do
--       if send(job.payload) then q:ack(job.id, job.token) else q:fail(job.id, job.token, "no route") end
--     end
--
-- Every call is synchronous and durable when it returns; `q:batch` makes many calls one transaction, so that a service
-- commits all requests of one loop round with one sync and answers after that.
--
-- **What is promised.** A job runs at least once, until it is done, dead or cancelled. A lease is a promise by the
-- queue's clock: when its time is up the job goes to somebody else, and the old holder's token is refused from then on
-- (`XK_EGONE`), whatever it asks for. Tokens only grow, over all jobs and restarts: pass them on to what a job writes
-- to, and let that refuse a smaller one. `unique` keys make a second put return the first job. Nothing is exactly once.
--
-- **States.** `waiting` (for other jobs), `delayed`, `ready`, `leased`, `done`, `dead`, `cancelled`.
--
-- One engine a database: counts and sequences are kept in memory. Wrong use raises; a refusal or a failing database
-- returns nil, message, code. Refusals write nothing, so a batch goes on after one.
-- @module xenkit.jobs
local schema = require "xenkit.jobs_schema"

local jobs = {}

local Queue = { __name = "xenkit.jobs" }
Queue.__index = Queue

-- Ids and tokens are reserved in blocks, so that a put or lease need not write the sequence. A crash skips the rest.
local BLOCK = 1000
-- Old finished jobs are deleted that many at a time, so that an ack in steady state mostly deletes nothing.
local PRUNE = 64
local PRIORITY_MOST = 100
local SECONDS_MOST = 1e9
-- Larger payloads stand in a table of their own: a change of state rewrites its row.
local INLINE = 1024

local DEFAULTS = {
  max_jobs = 100000, max_payload = 1 << 20, max_result = 1 << 16, max_error = 1024, max_after = 1000,
  max_lease = 1000, max_attempts = 5, keep_done = 1000, keep_seconds = 86400,
  backoff = 1, backoff_most = 3600, jitter = 0.2,
}

local STATES = { "waiting", "delayed", "ready", "leased", "done", "dead", "cancelled" }
local COUNTERS = {
  "puts", "duplicates", "refused", "leases", "acks", "late_acks", "late", "extends", "releases", "fails", "retries",
  "expired", "died", "buried", "kicks", "cancels", "pruned",
}

-- Errors of the database --------------------------------------------------------------------------------------------

local DbError = { __name = "xenkit.jobs.db_error", __tostring = function(e) return e.message end }

-- A failing statement must undo the whole transaction, hence an error and not a result.
local function check(q, first, ...)
  if first == nil then
    local message, code = ...
    q.broken = setmetatable({ message = message, code = code }, DbError)
    error(q.broken, 0)
  end
  return first, ...
end

local function run(q, name, ...) return check(q, q.st[name]:run(...)) end
local function values(q, name, ...) return check(q, q.st[name]:values(...)) end

local function rows(q, name, ...)
  local list = {}
  local ok, e = pcall(function(...)
    for row in q.st[name]:rows(...) do list[#list + 1] = row end
  end, ...)
  if not ok then check(q, nil, tostring(e), "XK_EIO") end
  return list
end

-- Arguments -----------------------------------------------------------------------------------------------------------

local function bad(level, ...) error(string.format(...), level + 1) end

local function need_integer(name, v, low, high)
  if math.type(v) ~= "integer" or v < low or v > high then
    bad(3, "%s is not an integer in %d .. %d: %s", name, low, high, tostring(v))
  end
  return v
end

local function need_seconds(name, v)
  if type(v) ~= "number" or not (v >= 0 and v <= SECONDS_MOST) then
    bad(3, "%s is not a number of seconds: %s", name, tostring(v))
  end
  return v + 0.0
end

local function need_string(name, v, most)
  if type(v) ~= "string" then bad(3, "%s is not a string but a %s", name, type(v)) end
  if most and (#v == 0 or #v > most) then bad(3, "%s has %d bytes, allowed are 1 .. %d", name, #v, most) end
  return v
end

local function refuse(q, code, ...)
  q.v.refused = q.v.refused + 1
  return nil, string.format(...), code
end

-- Transactions --------------------------------------------------------------------------------------------------------

-- What is in memory goes back with the database. Sequences do not go back: a token that somebody may have seen inside
-- the transaction must not be given out again. But what was reserved in it is not reserved any more.
local function restore(q)
  for k, x in pairs(q.saved) do q.v[k] = x end
  for _, s in pairs(q.sequences) do s.last = s.next - 1 end
end

local function finish(q, called, ok, ...)
  local broken = q.broken
  q.inside, q.broken = false, nil
  if called and ok then return ... end
  restore(q)
  if called then return nil, ... end
  if getmetatable(ok) == DbError then return nil, ok.message, ok.code end
  if broken then return nil, broken.message, broken.code end
  error(ok, 0)
end

-- A caller that caught the database's error inside a batch must not commit the half of an operation.
local function whole(q, ...)
  if q.broken then error(q.broken, 0) end
  return ...
end

local function body(q, f, ...) return whole(q, f(q, ...)) end

local function transact(q, f, ...)
  if q.inside then
    if q.broken then error(q.broken, 0) end
    return f(q, ...)
  end
  for k, x in pairs(q.v) do q.saved[k] = x end
  q.inside = true
  return finish(q, pcall(q.db.transaction, q.db, body, q, f, ...))
end

local function next_of(q, name)
  local s = q.sequences[name]
  local n = s.next
  if n > s.last then
    run(q, "set_sequence", n + BLOCK, name)
    s.last = n + BLOCK - 1
  end
  s.next = n + 1
  return n
end

-- The queue's clock never goes back while it is open.
local function clock(q)
  local t = q.now()
  if t > q.time then q.time = t + 0.0 end
  return q.time
end

-- Transitions ---------------------------------------------------------------------------------------------------------

local function moved(q, from, to)
  local v = q.v
  v[from], v[to] = v[from] - 1, v[to] + 1
end

local function add(q, counter, n) q.v[counter] = q.v[counter] + (n or 1) end

-- A lower bound of all times of a kind: saves the query for what cannot be due yet.
local function watch(q, name, due)
  if due < q.v[name] then q.v[name] = due end
end

-- The key of a job that is over: free at once, or after its window.
local function free_key(q, uniq, id, window, now)
  if not uniq then return end
  if window and window > 0 then
    run(q, "keep_key", now + window, uniq, id)
  else
    q.v.keys = q.v.keys - run(q, "drop_key", uniq, id)
  end
end

-- All that waits for (id), directly or not, is cancelled: it could never run.
local function cancel_downstream(q, id, now, what)
  if q.v.waiting == 0 then return end
  local stack, reason = { id }, string.format("job %d, which it waited for, %s", id, what)
  while #stack > 0 do
    local parent = table.remove(stack)
    for _, child in ipairs(rows(q, "waiting_for", parent)) do
      run(q, "cancel", now, reason, child.id)
      moved(q, "waiting", "cancelled")
      free_key(q, child.uniq, child.id, 0, now)
      stack[#stack + 1] = child.id
    end
    run(q, "drop_after", parent)
  end
end

local function wake_downstream(q, id, now)
  if q.v.waiting == 0 then return end
  for _, child in ipairs(rows(q, "waiting_for", id)) do
    local state = "waiting"
    if child.pending == 1 then
      state = child.due and child.due > now and "delayed" or "ready"
      if state == "delayed" then watch(q, "next_due", child.due) end
      moved(q, "waiting", state)
    end
    run(q, "satisfy", state, now, child.id)
  end
  run(q, "drop_after", id)
end

-- The last error, and a bounded history of all.
local function history(q, job, text, now)
  text = #text > q.max_error and text:sub(1, q.max_error) or text
  local line = string.format("%s%d at %.3f: %s\n", job.errors or "", job.attempt, now, text)
  return text, #line > 4 * q.max_error and line:sub(-4 * q.max_error) or line
end

local function die(q, job, text, now)
  local last, all = history(q, job, text, now)
  run(q, "die", now, last, all, job.id)
  moved(q, "leased", "dead")
  add(q, "died")
  free_key(q, job.uniq, job.id, 0, now)
  cancel_downstream(q, job.id, now, "died")
end

-- Back to the queue at (due); nil is now.
local function requeue(q, job, due, attempt, now, last, all)
  local state = due and due > now and "delayed" or "ready"
  run(q, "requeue", state, state == "delayed" and due or nil, attempt, now, last, all, job.id)
  moved(q, "leased", state)
  if state == "delayed" then watch(q, "next_due", due) end
end

local function promote(q, now)
  if now < q.v.next_due then return end
  local n = run(q, "promote", now, now)
  q.v.delayed, q.v.ready = q.v.delayed - n, q.v.ready + n
  local _, due = values(q, "first_due")
  q.v.next_due = due or math.huge
end

local function expire(q, now)
  local back, dead = 0, 0
  if now < q.v.next_end then return 0, 0 end
  for _, job in ipairs(rows(q, "expired", now)) do
    local text = "the lease ran out"
    if job.attempt >= job.max_attempts then
      die(q, job, text, now)
      dead = dead + 1
    else
      local last, all = history(q, job, text, now)
      requeue(q, job, nil, job.attempt, now, last, all)
      back = back + 1
    end
  end
  add(q, "expired", back + dead)
  local _, due = values(q, "first_end")
  q.v.next_end = due or math.huge
  return back, dead
end

local function prune_some(q, before, n)
  run(q, "prune_payloads", before, n)
  local gone = rows(q, "prune", before, n)
  for _, job in ipairs(gone) do q.v[job.state] = q.v[job.state] - 1 end
  add(q, "pruned", #gone)
  return #gone
end

-- Finished jobs leave: the oldest when there are too many, and those too old. At most PRUNE too many stay.
local function prune(q, now)
  local over = q.v.done + q.v.cancelled - q.keep_done
  if over >= PRUNE then prune_some(q, math.huge, over) end
  if now >= q.v.next_prune then
    local n = prune_some(q, now - q.keep_seconds, 4 * PRUNE)
    q.v.keys = q.v.keys - run(q, "drop_old_keys", now)
    q.v.next_prune = n < 4 * PRUNE and now + q.keep_seconds / 16 or now
  end
end

-- Putting -------------------------------------------------------------------------------------------------------------

local function known_key(q, key, now)
  local found, id, till = values(q, "find_key", key)
  return found and (not till or till > now) and id
end

-- How many of the jobs in (list) must still run. nil, message, code: one of them never will.
local function count_pending(q, list)
  local pending = {}
  for _, id in ipairs(list) do
    local found, state = values(q, "state_of", id)
    if not found then return refuse(q, "XK_ENOENT", "there is no job %d to wait for", id) end
    if state == "dead" or state == "cancelled" then
      return refuse(q, "XK_ECANCELED", "job %d to wait for is %s", id, state)
    end
    if state ~= "done" then pending[#pending + 1] = id end
  end
  return pending
end

local function live(v) return v.waiting + v.delayed + v.ready + v.leased + v.dead end

local function check_quota(q, job, now)
  if live(q.v) >= q.max_jobs then
    return refuse(q, "XK_EDQUOT", "the queue is full: %d jobs are not finished", live(q.v))
  end
  if job.unique and q.v.keys >= 2 * q.max_jobs then
    q.v.keys = q.v.keys - run(q, "drop_old_keys", now)
    if q.v.keys >= 2 * q.max_jobs then return refuse(q, "XK_EDQUOT", "%d unique keys are in use", q.v.keys) end
  end
  return true
end

local function insert(q, job, pending, now)
  local id = next_of(q, "job")
  local state = #pending > 0 and "waiting" or job.delay > 0 and "delayed" or "ready"
  local due = job.delay > 0 and now + job.delay or nil
  local small = #job.payload <= INLINE
  run(q, "insert", id, state, job.kind, job.priority, job.max_attempts, #pending, due, now, now, job.unique,
    job.window, small and job.payload or nil)
  if not small then run(q, "insert_payload", id, job.payload) end
  for _, parent in ipairs(pending) do run(q, "insert_after", parent, id) end
  if job.unique then
    q.v.keys = q.v.keys - run(q, "drop_any_key", job.unique) + 1
    run(q, "insert_key", job.unique, id)
  end
  if state == "delayed" then watch(q, "next_due", due) end
  q.v[state] = q.v[state] + 1
  add(q, "puts")
  return id, false
end

local function put(q, job)
  local now = clock(q)
  local id = job.unique and known_key(q, job.unique, now)
  if id then
    add(q, "duplicates")
    return id, true
  end
  local ok, message, code = check_quota(q, job, now)
  if not ok then return nil, message, code end
  local pending = {}
  if job.after then
    pending, message, code = count_pending(q, job.after)
    if not pending then return nil, message, code end
  end
  return insert(q, job, pending, now)
end

local function check_after(q, list)
  local seen, out = {}, {}
  if type(list) ~= "table" then bad(3, "after is not a list of job ids but a %s", type(list)) end
  for i, id in ipairs(list) do
    if math.type(id) ~= "integer" then bad(3, "after[%d] is not a job id: %s", i, tostring(id)) end
    if not seen[id] then out[#out + 1] = id end
    seen[id] = true
  end
  if #out > q.max_after then return nil end
  return out
end

--- Puts a job in.
-- @tparam table job `kind`: a name of 1 .. 200 bytes; `payload`: a string, ""; `priority`: -100 .. 100, larger sooner,
--  0; `delay`: seconds; `max_attempts`: 1 .. 1000; `unique`: a key of 1 .. 500 bytes, while a job that is neither done,
--  dead nor cancelled has it, and `window` seconds after it is done, a put with it returns that job; `after`: ids of
--  jobs that must be done first. When one of them dies or is cancelled, so is this one.
-- @return id and whether it existed already; or nil, message, code: `XK_EDQUOT` the queue is full, `XK_EMSGSIZE`,
--  `XK_ENOENT` or `XK_ECANCELED` for a job in `after`
function Queue:put(job)
  local j = {
    kind = need_string("kind", job.kind, 200),
    payload = need_string("payload", job.payload or ""),
    priority = need_integer("priority", job.priority or 0, -PRIORITY_MOST, PRIORITY_MOST),
    delay = need_seconds("delay", job.delay or 0),
    max_attempts = need_integer("max_attempts", job.max_attempts or self.max_attempts, 1, 1000),
    unique = job.unique and need_string("unique", job.unique, 500),
    window = job.window and need_seconds("window", job.window),
  }
  if #j.payload > self.max_payload then
    return refuse(self, "XK_EMSGSIZE", "a payload of %d bytes; %d are allowed", #j.payload, self.max_payload)
  end
  if job.after then
    j.after = check_after(self, job.after)
    if not j.after then return refuse(self, "XK_EMSGSIZE", "waiting for more than %d jobs", self.max_after) end
  end
  return transact(self, put, j)
end

-- Leasing -------------------------------------------------------------------------------------------------------------

local function sooner(a, b)
  if a.priority ~= b.priority then return a.priority > b.priority end
  return a.id < b.id
end

-- The first (n) over several kinds: the first n of each, merged.
local function ready_of_kinds(q, kinds, n)
  local all = {}
  for _, kind in ipairs(kinds) do
    for _, job in ipairs(rows(q, "ready_kind", kind, n)) do all[#all + 1] = job end
  end
  if #kinds > 1 then table.sort(all, sooner) end
  for i = #all, n + 1, -1 do all[i] = nil end
  return all
end

local function lease(q, worker, n, seconds, kinds)
  local now = clock(q)
  expire(q, now)
  promote(q, now)
  if q.v.ready == 0 then return {} end
  local list = kinds and ready_of_kinds(q, kinds, n) or rows(q, "ready", n)
  for _, job in ipairs(list) do
    job.token, job.attempt, job.expires = next_of(q, "token"), job.attempt + 1, now + seconds
    run(q, "lease", job.expires, job.token, worker, now, job.id)
    moved(q, "ready", "leased")
  end
  if #list > 0 then watch(q, "next_end", now + seconds) end
  add(q, "leases", #list)
  return list
end

local function check_kinds(kinds)
  local seen, out = {}, {}
  if type(kinds) ~= "table" then bad(3, "kinds is not a list of names but a %s", type(kinds)) end
  for _, kind in ipairs(kinds) do
    need_string("a kind", kind)
    if not seen[kind] then out[#out + 1] = kind end
    seen[kind] = true
  end
  return out
end

--- Hands out ready jobs, the largest priority first, then the oldest.
-- @tparam string worker who asks; for people to read
-- @tparam integer n at most so many
-- @tparam number seconds how long the lease lasts
-- @tparam[opt] table kinds only these
-- @treturn table array of `{id, kind, payload, priority, attempt, token, expires}`; or nil, message, code
function Queue:lease(worker, n, seconds, kinds)
  need_string("worker", worker, 200)
  need_integer("n", n, 1, self.max_lease)
  need_seconds("seconds", seconds)
  return transact(self, lease, worker, n, seconds, kinds and check_kinds(kinds))
end

-- A holder that is too late, or never was one.
local function gone(q, counter, id, token)
  add(q, counter)
  local found, state = values(q, "state_of", id)
  return nil, string.format("the lease of job %d under token %d is over: the job is %s", id, token,
    found and state or "unknown"), "XK_EGONE"
end

-- The leased job that (token) still holds; by the clock, whether or not somebody has called expire.
local function held(q, id, token, now)
  local list = rows(q, "held", id, token, now)
  return list[1]
end

local function ack(q, id, token, result)
  local now = clock(q)
  local found, uniq, window = values(q, "done", now, result, id, token, now)
  if not found then return gone(q, "late_acks", id, token) end
  moved(q, "leased", "done")
  add(q, "acks")
  free_key(q, uniq, id, window, now)
  wake_downstream(q, id, now)
  prune(q, now)
  return true
end

local function check_lease(id, token)
  need_integer("id", id, 0, math.maxinteger)
  need_integer("token", token, 0, math.maxinteger)
end

--- The job is done.
-- @tparam integer id
-- @tparam integer token of the lease
-- @tparam[opt] string result is kept with the job
-- @return true; or nil, message, code: `XK_EGONE` the token is not the current lease (late, or acked before),
--  `XK_EMSGSIZE` the result is too long and the job still leased
function Queue:ack(id, token, result)
  check_lease(id, token)
  if result ~= nil and #need_string("result", result) > self.max_result then
    return refuse(self, "XK_EMSGSIZE", "a result of %d bytes; %d are allowed", #result, self.max_result)
  end
  return transact(self, ack, id, token, result)
end

local function extend(q, id, token, seconds)
  local now = clock(q)
  if run(q, "extend", now + seconds, id, token, now) == 0 then return gone(q, "late", id, token) end
  watch(q, "next_end", now + seconds)
  add(q, "extends")
  return true
end

--- The worker lives and needs more time: the lease ends (seconds) from now.
-- @return true; or nil, message, `XK_EGONE`
function Queue:extend(id, token, seconds)
  check_lease(id, token)
  return transact(self, extend, id, token, need_seconds("seconds", seconds))
end

local function release(q, id, token, delay)
  local now = clock(q)
  local job = held(q, id, token, now)
  if not job then return gone(q, "late", id, token) end
  requeue(q, job, delay > 0 and now + delay or nil, job.attempt - 1, now, job.error, job.errors)
  add(q, "releases")
  return true
end

--- Gives a job back unharmed: the attempt does not count.
-- @tparam integer id
-- @tparam integer token
-- @tparam[opt] number delay seconds
-- @return true; or nil, message, `XK_EGONE`
function Queue:release(id, token, delay)
  check_lease(id, token)
  return transact(self, release, id, token, need_seconds("delay", delay or 0))
end

local function backoff(q, attempt)
  local wait = math.min(q.backoff * 2.0 ^ (attempt - 1), q.backoff_most)
  return wait * (1 + q.jitter * q.random())
end

local function fail(q, id, token, text)
  local now = clock(q)
  local job = held(q, id, token, now)
  if not job then return gone(q, "late", id, token) end
  add(q, "fails")
  if job.attempt >= job.max_attempts then
    die(q, job, text, now)
    return true, "dead"
  end
  local last, all = history(q, job, text, now)
  local due = now + backoff(q, job.attempt)
  requeue(q, job, due, job.attempt, now, last, all)
  add(q, "retries")
  return true, due > now and "delayed" or "ready"
end

--- The attempt failed: again after a time that doubles with each attempt, plus jitter, or dead after the last.
-- @tparam integer id
-- @tparam integer token
-- @tparam[opt] string text what went wrong
-- @return true and the new state; or nil, message, `XK_EGONE`
function Queue:fail(id, token, text)
  check_lease(id, token)
  return transact(self, fail, id, token, need_string("error", text or "failed"))
end

local function bury(q, id, token, text)
  local now = clock(q)
  local job = held(q, id, token, now)
  if not job then return gone(q, "late", id, token) end
  die(q, job, text, now)
  add(q, "buried")
  return true
end

--- The job can never succeed: a dead letter at once.
-- @return true; or nil, message, `XK_EGONE`
function Queue:bury(id, token, text)
  check_lease(id, token)
  return transact(self, bury, id, token, need_string("error", text or "buried"))
end

local function expire_all(q) return expire(q, clock(q)) end

--- Takes back every lease whose time is up. Every `lease` does the same first.
-- @return how many are ready again and how many died of it; or nil, message, code
function Queue:expire() return transact(self, expire_all) end

-- Managing ------------------------------------------------------------------------------------------------------------

local function kick(q, id)
  local now = clock(q)
  local found, state, uniq = values(q, "state_of", id)
  if not found then return refuse(q, "XK_ENOENT", "there is no job %d", id) end
  if state ~= "dead" then return refuse(q, "XK_EINVAL", "job %d is not dead but %s", id, state) end
  local other = uniq and known_key(q, uniq, now)
  if other then return refuse(q, "XK_EEXIST", "job %d has the unique key of job %d", other, id) end
  run(q, "kick", now, id)
  if uniq then
    q.v.keys = q.v.keys - run(q, "drop_any_key", uniq) + 1
    run(q, "insert_key", uniq, id)
  end
  moved(q, "dead", "ready")
  add(q, "kicks")
  return true
end

--- Gives a dead job all its attempts again.
-- @return true; or nil, message, code: `XK_ENOENT`, `XK_EINVAL` not dead, `XK_EEXIST` its unique key is in use
function Queue:kick(id)
  need_integer("id", id, 0, math.maxinteger)
  return transact(self, kick, id)
end

local function kick_all(q, n)
  local count = 0
  for _, job in ipairs(rows(q, "peek_dead", n)) do
    if kick(q, job.id) then count = count + 1 end
  end
  return count
end

--- Kicks the (n) oldest dead jobs. Returns how many.
function Queue:kick_all(n)
  return transact(self, kick_all, need_integer("n", n, 1, math.maxinteger))
end

local function cancel(q, id)
  local now = clock(q)
  local found, state, uniq = values(q, "state_of", id)
  if not found then return refuse(q, "XK_ENOENT", "there is no job %d", id) end
  if state == "done" or state == "cancelled" then return refuse(q, "XK_EGONE", "job %d is %s already", id, state) end
  run(q, "cancel", now, nil, id)
  moved(q, state, "cancelled")
  add(q, "cancels")
  free_key(q, uniq, id, 0, now)
  cancel_downstream(q, id, now, "was cancelled")
  prune(q, now)
  return true
end

--- Cancels a job, and all that waits for it. Who holds it learns from the next `extend` or `ack`.
-- @return true; or nil, message, code: `XK_ENOENT`, `XK_EGONE` it is over already
function Queue:cancel(id)
  need_integer("id", id, 0, math.maxinteger)
  return transact(self, cancel, id)
end

-- Questions -----------------------------------------------------------------------------------------------------------

local function get(q, id)
  local job = check(q, q.st.get:row(id))
  if not job then return nil, string.format("there is no job %d", id), "XK_ENOENT" end
  return job
end

--- Everything about a job.
-- @treturn table `id`, `state`, `kind`, `payload`, `priority`, `attempt`, `max_attempts`, `token`, `worker`, `pending`,
--  `due`, `created`, `since`, `unique`, `result`, `error`, `errors`; or nil, message, code
function Queue:get(id)
  need_integer("id", id, 0, math.maxinteger)
  return transact(self, get, id)
end

local function peek(q, state, n) return rows(q, "peek_" .. state, n) end

--- The first jobs of a state, in the order in which something will happen to them.
-- @tparam string state
-- @tparam integer n
-- @treturn table array of `{id, kind, priority, attempt, since, due, error}`; or nil, message, code
function Queue:peek(state, n)
  if not schema.statements["peek_" .. tostring(state)] then bad(2, "there is no state '%s'", tostring(state)) end
  return transact(self, peek, state, need_integer("n", n, 1, math.maxinteger))
end

--- What became of a job.
-- @return the result ("" when it was acked without); or nil, message, code: `XK_EAGAIN` not finished, `XK_ECANCELED`
--  dead or cancelled, `XK_ENOENT`
function Queue:result(id)
  local job, message, code = self:get(id)
  if not job then return nil, message, code end
  if job.state == "done" then return job.result or "" end
  if job.state == "dead" or job.state == "cancelled" then
    return nil, string.format("job %d is %s: %s", id, job.state, job.error or "no reason given"), "XK_ECANCELED"
  end
  return nil, string.format("job %d is %s", id, job.state), "XK_EAGAIN"
end

-- The first of each priority is not older than any behind it by id, so there are at most 201 to look at.
local function oldest_ready(q)
  local oldest
  local found, priority, since = values(q, "ready_below", PRIORITY_MOST + 1)
  while found do
    oldest = math.min(oldest or since, since)
    found, priority, since = values(q, "ready_below", priority)
  end
  return oldest
end

--- Counts.
-- @treturn table jobs by state; `oldest_ready_age` in seconds or nil; since opening: `puts`, `duplicates`, `refused`,
--  `leases`, `acks`, `late_acks`, `late` (other calls with an old token), `extends`, `releases`, `fails`, `retries`,
--  `expired`, `died`, `buried`, `kicks`, `cancels`, `pruned`; `keys`; or nil, message, code
function Queue:stats()
  local now = clock(self)
  local out = { keys = self.v.keys }
  for _, name in ipairs(STATES) do out[name] = self.v[name] end
  for _, name in ipairs(COUNTERS) do out[name] = self.v[name] end
  local ok, message, code = transact(self, function(q)
    local since = oldest_ready(q)
    out.oldest_ready_age = since and math.max(0, now - since)
    return true
  end)
  if not ok then return nil, message, code end
  return out
end

--- When the queue next has to do something by itself: a delayed job or the end of a lease. A service sleeps until then.
-- @treturn number seconds by the queue's clock, `math.huge` for never; it may be too early, never too late
function Queue:next_time() return math.min(self.v.next_due, self.v.next_end) end

--- Runs many calls as one transaction with one sync. When it returns, all are durable; when the function raises, none
-- has happened. The function must not yield.
-- @tparam function f called with the queue
-- @param ... more arguments for it
-- @return what the function returned; or nil, message, code when the database failed and nothing has happened
function Queue:batch(f, ...) return transact(self, f, ...) end

-- Opening -------------------------------------------------------------------------------------------------------------

local function load(q)
  for _, name in ipairs { "job", "token" } do
    local _, first = values(q, "get_sequence", name)
    q.sequences[name] = { next = first, last = first - 1 }
  end
  for _, row in ipairs(rows(q, "count_states")) do q.v[row.state] = row.n end
  local _, keys = values(q, "count_keys")
  q.v.keys = keys
  return true
end

-- Statements are compiled when they are first needed.
local function statements(q)
  return setmetatable({}, {
    __index = function(t, name)
      local st = check(q, q.db:prepare(schema.statements[name]))
      rawset(t, name, st)
      return st
    end,
  })
end

--- Opens the queue in a database, and makes or migrates its tables.
-- @param db of `xenkit.core.db`; one queue a database
-- @tparam[opt] table options `now`: a function that gives seconds (`os.time`; it should have fractions and must not be
--  a worker's clock); `random`: 0 .. 1, for jitter; bounds: `max_jobs` that are not done or cancelled (100000),
--  `max_payload`, `max_result`, `max_error`, `max_after`, `max_lease`; `max_attempts` by default (5); `backoff` (1 s),
--  `backoff_most` (3600 s), `jitter` (0.2 of it); `keep_done` finished jobs (1000, and up to 64 more), `keep_seconds`
--  (86400)
-- @return queue; or nil, message, code: `XK_EPROTO` the tables are of a newer version
function jobs.open(db, options)
  options = options or {}
  local q = { db = db, now = options.now or os.time, random = options.random or math.random, time = -math.huge,
    sequences = {}, saved = {}, inside = false }
  for name, default in pairs(DEFAULTS) do
    q[name] = options[name] or default
    if type(q[name]) ~= "number" then bad(2, "option '%s' is not a number", name) end
  end
  q.v = { next_due = -math.huge, next_end = -math.huge, next_prune = -math.huge, keys = 0 }
  for _, name in ipairs(STATES) do q.v[name] = 0 end
  for _, name in ipairs(COUNTERS) do q.v[name] = 0 end
  q.st = statements(q)
  setmetatable(q, Queue)
  local ok, message, code = schema.migrate(db)
  if not ok then return nil, message, code end
  ok, message, code = transact(q, load)
  if not ok then return nil, message, code end
  return q
end

return jobs
