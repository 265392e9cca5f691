-- xenkit.jobs: each promise by itself, then all against a model, then under kill -9.
local core = require "xenkit.core.db"
local jobs = require "xenkit.jobs"

local here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local model = dofile(here .. "jobs_model.lua")

local time = 0
local function now() return time end
local function no_jitter() return 0 end

local function queue(options, db)
  local o = { now = now, random = no_jitter }
  for k, v in pairs(options or {}) do o[k] = v end
  db = db or assert(core.open { main = "memory" })
  return assert(jobs.open(db, o)), db
end

local function one(q, seconds, ...) return assert(q:lease("w", 1, seconds or 10, ...))[1] end

local function ids(list)
  local out = {}
  for i, job in ipairs(list) do out[i] = job.id end
  return out
end

describe("jobs", function()
  before_each(function() time = 1000 end)

  it("leases by priority, then in the order of putting", function()
    local q = queue()
    local a, b = q:put { kind = "k" }, q:put { kind = "k", priority = 5 }
    local c, d = q:put { kind = "other", priority = 5 }, q:put { kind = "k", priority = -1 }
    assert.same({ c }, ids(q:lease("w", 5, 10, { "other", "other" })))
    assert.same({ b, a }, ids(q:lease("w", 2, 10, { "other", "k" })))
    assert.same({ d }, ids(q:lease("w", 9, 10)))
    assert.same({}, q:lease("w", 9, 10))
  end)

  it("keeps payloads and results of any bytes and size", function()
    local q = queue { max_payload = 5000, max_result = 100 }
    for _, n in ipairs { 0, 1, 1024, 1025, 5000 } do
      local payload = ("\0\xff\n"):rep(n):sub(1, n)
      local id = q:put { kind = "k", payload = payload }
      local job = one(q)
      assert.equal(payload, job.payload)
      assert.equal(payload, q:get(id).payload)
      assert.same({ nil, "job " .. id .. " is leased", "XK_EAGAIN" }, { q:result(id) })
      assert.same("XK_EMSGSIZE", (select(3, q:ack(id, job.token, ("x"):rep(101)))))
      assert.truthy(q:ack(id, job.token, "a\0b"))
      assert.equal("a\0b", q:result(id))
    end
    assert.same("XK_EMSGSIZE", (select(3, q:put { kind = "k", payload = ("x"):rep(5001) })))
    assert.equal(6, q:stats().refused)
  end)

  it("refuses a late worker, whatever it asks for", function()
    local q = queue()
    local id = q:put { kind = "k" }
    local first = one(q, 10)
    time = 1010 -- exactly the end: nobody has called expire yet, and still it is over
    assert.same({ nil, "the lease of job 1 under token 1 is over: the job is leased", "XK_EGONE" },
      { q:ack(id, first.token) })
    local second = one(q, 10)
    assert.truthy(second.token > first.token)
    assert.equal(2, second.attempt)
    for _, call in ipairs { "ack", "release", "fail", "bury" } do
      assert.same("XK_EGONE", (select(3, q[call](q, id, first.token))))
    end
    assert.same("XK_EGONE", (select(3, q:extend(id, first.token, 5))))
    assert.truthy(q:ack(id, second.token))
    assert.same("XK_EGONE", (select(3, q:ack(id, second.token)))) -- twice
    assert.same("XK_EGONE", (select(3, q:ack(777, 1))))
    local s = q:stats()
    assert.same({ 4, 4, 1, 1 }, { s.late_acks, s.late, s.acks, s.expired })
  end)

  it("extends a lease", function()
    local q = queue()
    local id = q:put { kind = "k" }
    local job = one(q, 10)
    for _ = 1, 5 do
      time = time + 9
      assert.truthy(q:extend(id, job.token, 10))
    end
    assert.same({ 0, 0 }, { q:expire() })
    assert.truthy(q:ack(id, job.token))
  end)

  it("brings back what ran out, and buries what does so each time", function()
    local q = queue()
    local id = q:put { kind = "k", max_attempts = 2 }
    one(q, 10)
    time = time + 11
    assert.same({ 1, 0 }, { q:expire() })
    one(q, 10)
    time = time + 11
    assert.same({ 0, 1 }, { q:expire() })
    local job = q:get(id)
    assert.same({ "dead", "the lease ran out" }, { job.state, job.error })
    assert.equal("1 at 1011.000: the lease ran out\n2 at 1022.000: the lease ran out\n", job.errors)
    assert.same("XK_ECANCELED", (select(3, q:result(id))))
  end)

  it("retries with growing waits, then gives up", function()
    local q = queue { backoff = 2, backoff_most = 10, max_error = 50 }
    local id = q:put { kind = "k", max_attempts = 5 }
    for attempt, wait in ipairs { 2, 4, 8, 10 } do
      local job = one(q)
      assert.equal(attempt, job.attempt)
      assert.same({ true, "delayed" }, { q:fail(id, job.token, ("e"):rep(60)) })
      time = time + wait - 0.5
      assert.is_nil(one(q))
      assert.equal(time + 0.5, q:next_time())
      time = time + 0.5
    end
    assert.same({ true, "dead" }, { q:fail(id, one(q).token) })
    assert.truthy(#q:get(id).errors <= 200)
    assert.is_nil(one(q))
    assert.equal(id, q:peek("dead", 10)[1].id)
    assert.truthy(q:kick(id))
    assert.same("XK_EINVAL", (select(3, q:kick(id))))
    assert.equal(1, one(q).attempt)
    local jittery = queue { random = function() return 0.5 end, jitter = 0.2, backoff = 10 }
    id = jittery:put { kind = "k" }
    jittery:fail(id, one(jittery).token)
    assert.equal(time + 11, jittery:get(id).due)
  end)

  it("releases without counting the attempt", function()
    local q = queue()
    local id = q:put { kind = "k", max_attempts = 1 }
    for _ = 1, 3 do
      local job = one(q)
      assert.equal(1, job.attempt)
      assert.truthy(q:release(id, job.token, 5))
      assert.is_nil(one(q))
      time = time + 5
    end
    local job = one(q)
    assert.truthy(q:release(id, job.token))
    assert.equal(id, one(q).id)
  end)

  it("delays", function()
    local q = queue()
    local b, a = q:put { kind = "k", delay = 20 }, q:put { kind = "k", delay = 10 }
    assert.same({}, q:lease("w", 5, 10))
    assert.same({ a, b }, ids(q:peek("delayed", 5)))
    time = time + 10
    assert.equal(a, one(q).id)
    time = time + 10
    assert.equal(b, one(q, 10, { "k" }).id)
  end)

  it("returns the first job for a unique key until it is over, and its window", function()
    local q = queue()
    local id, existed = q:put { kind = "k", unique = "u", window = 60 }
    assert.falsy(existed)
    assert.same({ id, true }, { q:put { kind = "k", unique = "u" } })
    q:ack(id, one(q).token)
    time = time + 59
    assert.same({ id, true }, { q:put { kind = "k", unique = "u" } })
    time = time + 1
    local second = q:put { kind = "k", unique = "u" }
    assert.equal(id + 1, second)
    q:bury(second, one(q).token, "no")
    local third = q:put { kind = "k", unique = "u" } -- a dead one does not hold the key
    assert.same({ nil, "job 3 has the unique key of job 2", "XK_EEXIST" }, { q:kick(second) })
    q:cancel(third)
    assert.truthy(q:kick(second))
    assert.same({ second, true }, { q:put { kind = "k", unique = "u" } })
    assert.equal(3, q:stats().duplicates)
  end)

  it("waits for other jobs", function()
    local q = queue()
    local a, b = q:put { kind = "a" }, q:put { kind = "b" }
    local c = q:put { kind = "c", after = { a, b, a } }
    local d = q:put { kind = "d", after = { c }, delay = 50 }
    assert.same({ "waiting", 2 }, { q:get(c).state, q:get(c).pending })
    q:ack(a, one(q).token)
    assert.same({ b }, ids(q:lease("w", 9, 10)))
    q:ack(b, q:get(b).token)
    assert.equal("ready", q:get(c).state)
    q:ack(c, one(q).token)
    assert.equal("delayed", q:get(d).state) -- its delay counts from the put
    assert.truthy(q:put { kind = "e", after = { a, b, c } })
    assert.same("XK_ENOENT", (select(3, q:put { kind = "e", after = { 999 } })))
    q:cancel(d)
    assert.same("XK_ECANCELED", (select(3, q:put { kind = "e", after = { d } })))
  end)

  it("cancels what waits for a job that dies or is cancelled", function()
    local q = queue()
    local a, b = q:put { kind = "a", max_attempts = 1 }, q:put { kind = "b" }
    local c = q:put { kind = "c", after = { a, b }, unique = "u" }
    local d = q:put { kind = "d", after = { c } }
    q:fail(a, one(q).token, "boom")
    assert.same({ "dead", "cancelled", "cancelled" }, { q:get(a).state, q:get(c).state, q:get(d).state })
    assert.equal("job 1, which it waited for, died", q:get(c).error)
    local e = q:put { kind = "e", after = { b }, unique = "u" }
    local held = one(q)
    q:cancel(b)
    assert.same("XK_EGONE", (select(3, q:ack(b, held.token)))) -- the holder learns of it
    assert.equal("cancelled", q:get(e).state)
    assert.same("XK_EGONE", (select(3, q:cancel(b))))
    assert.same("XK_ENOENT", (select(3, q:cancel(99))))
    local s = q:stats()
    assert.same({ 0, 0, 0, 0, 1, 4 }, { s.ready, s.waiting, s.leased, s.done, s.dead, s.cancelled })
  end)

  it("has a quota", function()
    local q = queue { max_jobs = 3 }
    for _ = 1, 3 do assert(q:put { kind = "k" }) end
    assert.same({ nil, "the queue is full: 3 jobs are not finished", "XK_EDQUOT" }, { q:put { kind = "k" } })
    q:ack(1, one(q).token)
    assert.truthy(q:put { kind = "k" })
  end)

  it("forgets finished jobs by number and by age", function()
    local q, db = queue { keep_done = 10, keep_seconds = 100 }
    for _ = 1, 200 do
      local id = q:put { kind = "k", payload = ("x"):rep(2000) }
      q:ack(id, one(q).token)
      assert.truthy(q:stats().done <= 10 + 64)
    end
    assert.same("XK_ENOENT", (select(3, q:get(1))))
    assert.equal("done", q:get(200).state)
    time = time + 101
    q:ack(q:put { kind = "k" }, one(q).token)
    assert.equal(1, q:stats().done)
    assert.equal(200, q:stats().pruned)
    assert.equal(0, db:prepare "SELECT count(*) AS n FROM jobs_payload":row().n)
  end)

  it("tells the age of the oldest ready job", function()
    local q = queue()
    assert.is_nil(q:stats().oldest_ready_age)
    q:put { kind = "k", priority = -100 }
    time = time + 7
    q:put { kind = "k", priority = 100 }
    time = time + 1
    assert.equal(8, q:stats().oldest_ready_age)
  end)

  it("commits a batch as one, or not at all", function()
    local q, db = queue()
    local a = q:put { kind = "k" }
    local before = q:stats()
    local ok, e = pcall(q.batch, q, function()
      q:put { kind = "k" }
      q:ack(a, one(q).token)
      error("no", 0)
    end)
    assert.same({ false, "no" }, { ok, e })
    assert.same(before, q:stats())
    assert.equal("ready", q:get(a).state)
    assert.equal("x", q:batch(function(self, x)
      assert.equal(q, self)
      assert.falsy(self:ack(99, 99)) -- a refusal spoils nothing
      return self:batch(function() return self:put { kind = "k" } and x end)
    end, "x"))
    local job = one(q)
    assert.equal(2, job.token) -- the first was seen in the batch that failed
    assert(db:exec "CREATE TRIGGER broken BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'broken'); END")
    assert.same({ nil, "broken", "XK_EINVAL" }, { q:put { kind = "k" } })
    assert.same({ nil, "broken", "XK_EINVAL" }, { q:batch(function()
      q:ack(job.id, job.token)
      pcall(q.put, q, { kind = "k" }) -- a caught failure of the database is one all the same
      return "committed"
    end) })
    assert.equal("leased", q:get(job.id).state)
    assert(db:exec "DROP TRIGGER broken")
    assert.truthy(q:ack(job.id, job.token))
  end)

  it("gives no id or token twice, though a batch that failed had reserved them", function()
    local q, db = queue()
    pcall(q.batch, q, function()
      q:put { kind = "k" }
      one(q)
      error "no"
    end)
    local id = q:put { kind = "k" }
    local token = one(q).token
    local again = queue(nil, db) -- as after a crash
    assert.truthy(again:put { kind = "k" } > id)
    assert.truthy(one(again).token > token)
  end)

  it("raises for wrong use", function()
    local q = queue()
    assert.error_matches(function() q:put {} end, "kind is not a string but a nil")
    assert.error_matches(function() q:put { kind = "" } end, "kind has 0 bytes")
    assert.error_matches(function() q:put { kind = "k", payload = 5 } end, "payload is not a string")
    assert.error_matches(function() q:put { kind = "k", priority = 1000 } end, "priority is not an integer in")
    assert.error_matches(function() q:put { kind = "k", delay = 0 / 0 } end, "delay is not a number of seconds")
    assert.error_matches(function() q:put { kind = "k", after = { "x" } } end, "after%[1%] is not a job id")
    assert.error_matches(function() q:lease("w", 0, 1) end, "n is not an integer in 1")
    assert.error_matches(function() q:ack("1", 1) end, "id is not an integer")
    assert.error_matches(function() q:peek("nowhere", 1) end, "there is no state 'nowhere'")
  end)

  it("refuses illegal states and moves in the database itself", function()
    local q, db = queue()
    local id = q:put { kind = "k" }
    local function refused(sql) assert.same("XK_EINVAL", (select(3, db:exec(sql .. " WHERE id = " .. id)))) end
    refused "UPDATE jobs SET state = 'lost'"
    refused "UPDATE jobs SET state = 'done'"
    refused "UPDATE jobs SET state = 'waiting'"
    refused "UPDATE jobs SET state = 'leased'"
    q:ack(id, one(q).token)
    refused "UPDATE jobs SET state = 'ready'"
  end)

  it("goes on where it was, and knows its version", function()
    local q, db = queue()
    for i = 1, 10 do q:put { kind = "k", delay = i > 8 and 5 or 0, unique = "u" .. i } end
    local held = one(q, 10)
    q:ack(2, one(q).token)
    local s = q:stats()
    local again = queue(nil, db)
    local t = again:stats()
    for _, state in ipairs { "ready", "delayed", "leased", "done", "keys" } do assert.equal(s[state], t[state]) end
    assert.truthy(again:ack(held.id, held.token))
    assert.truthy(one(again).token > held.token + 1)
    assert.truthy(again:put { kind = "k" } > 10)
    time = time + 10
    again:expire()
    assert.equal(9, #again:lease("w", 100, 1) + again:stats().leased - #again:peek("leased", 100))
    db:exec "UPDATE jobs_schema SET version = 99"
    assert.same("XK_EPROTO", (select(3, jobs.open(db))))
  end)

  it("finds the next job without looking at the others", function()
    local _, db = queue()
    local schema = require "xenkit.jobs_schema"
    for name, sql in pairs(schema.statements) do
      if not name:match "^count_" then
        for row in db:prepare("EXPLAIN QUERY PLAN " .. sql):rows() do
          -- a SCAN of one state's index in its order ends at the LIMIT
          local scan = row.detail:match "^SCAN (.*)"
          assert.truthy(not scan or scan:match "^jobs USING INDEX jobs_", name .. ": " .. row.detail)
          assert.truthy(name == "waiting_for" or not row.detail:match "TEMP B%-TREE", name .. ": " .. row.detail)
        end
      end
    end
  end)
end)

-- Against the model -------------------------------------------------------------------------------------------------

local KINDS = { "a", "b", "c" }
local DECK = {}
for _, w in ipairs { { "put", 30 }, { "lease", 20 }, { "ack", 20 }, { "fail", 8 }, { "release", 4 }, { "extend", 4 },
  { "bury", 2 }, { "advance", 12 }, { "kick", 3 }, { "cancel", 3 }, { "expire", 2 } } do
  for _ = 1, w[2] do DECK[#DECK + 1] = w[1] end
end

local function random_job(m)
  local r = math.random
  local job = { kind = KINDS[r(3)], priority = r(4) == 1 and r(-3, 3) or nil, delay = r(5) == 1 and r(0, 20) or nil,
    max_attempts = r(3) == 1 and r(1, 3) or nil, unique = r(5) == 1 and "u" .. r(8) or nil,
    window = r(2) == 1 and r(0, 30) or nil }
  if r(6) == 1 and m.next_id > 1 then
    job.after = {}
    for i = 1, r(3) do job.after[i] = r(math.max(1, m.next_id - 30), m.next_id) end
  end
  return job
end

-- A lease to answer for: mostly a present one, sometimes an old or made-up one.
local function random_lease(m, old)
  local leased = m:sorted "leased"
  local pick = math.random(10)
  if pick <= 7 and #leased > 0 then
    local job = leased[math.random(#leased)]
    return job.id, job.token
  elseif pick <= 9 and #old > 0 then
    return table.unpack(old[math.random(#old)])
  end
  return math.random(m.next_id), math.random(m.token + 1)
end

-- One step on both; returns what each answered.
local function step(q, m, old)
  local op = DECK[math.random(#DECK)]
  if op == "put" then
    local job = random_job(m)
    local id, message, code = q:put(job)
    if id then return op, { id, message }, { m:put(time, job) } end
    return op, { nil, code }, { m:put(time, job) }
  elseif op == "lease" then
    local n, seconds = math.random(4), math.random(30)
    local kinds = math.random(3) == 1 and { KINDS[math.random(3)], KINDS[math.random(3)] } or nil
    local got, want = {}, {}
    for i, job in ipairs(q:lease("w", n, seconds, kinds)) do got[i] = { job.id, job.token, job.attempt } end
    for i, job in ipairs(m:lease(time, n, seconds, kinds)) do
      want[i] = { job.id, job.token, job.attempt }
      old[#old + 1] = { job.id, job.token }
    end
    return op, got, want
  elseif op == "advance" then
    time = time + math.random(0, 80) / 8
    return op, {}, {}
  elseif op == "expire" then
    return op, { q:expire() }, { m:expire(time) }
  elseif op == "kick" or op == "cancel" then
    local id = math.random(m.next_id)
    if op == "kick" and math.random(4) > 1 then id = (m:sorted "dead"[1] or { id = id }).id end
    local ok, _, code = q[op](q, id)
    return op, { ok, code }, { m[op](m, time, id) }
  end
  local id, token = random_lease(m, old)
  local extra = (op == "extend" or op == "release") and math.random(0, 20) or nil
  local ok, second, code = q[op](q, id, token, extra)
  return op, { ok, ok and second or code }, { m[op](m, time, id, token, extra) }
end

local function compare(q, m, where)
  local s, n = q:stats(), m:count()
  for state, count in pairs(n) do assert.equal(count, s[state], where .. ": " .. state) end
  assert.same({ m.late_acks, m.late, m.expired }, { s.late_acks, s.late, s.expired }, where)
  for id, job in pairs(m.jobs) do
    local real = assert(q:get(id))
    assert.same({ job.state, job.attempt, job.due, job.token or 0 }, { real.state, real.attempt, real.due, real.token },
      where .. ": job " .. id)
  end
end

-- One step, or a batch of them that is committed or thrown away. The model's tokens and ids go on all the same.
local function turn(q, m, old, where)
  local function check()
    local op, got, want = step(q, m, old)
    -- nil at the end of a list does not count
    assert.same({ want[1], want[2], want[3], want[4] }, { got[1], got[2], got[3], got[4] }, where .. ": " .. op)
  end
  if math.random(20) > 1 then
    check()
    return m
  end
  local before, failing = m:copy(), math.random(2) == 1
  local ok, e = pcall(q.batch, q, function()
    for _ = 1, math.random(6) do check() end
    if failing then error("thrown away", 0) end
  end)
  if not failing then
    assert.truthy(ok, e)
    return m
  end
  assert.equal("thrown away", e)
  before.token, before.next_id = m.token, m.next_id
  return before
end

describe("jobs against a model", function()
  local seeds = os.getenv "XK_SEED" and { tonumber(os.getenv "XK_SEED") } or { 1, 2, 3, os.time() }
  for _, seed in ipairs(seeds) do
    it("agrees, seed " .. seed, function()
      math.randomseed(seed)
      time = 1000
      local options = { max_jobs = 60, backoff = 2, backoff_most = 20, keep_done = 1e9, keep_seconds = 1e9 }
      local q, db = queue(options)
      local m, old = model.new(options), {}
      for i = 1, os.getenv "XK_LONG" and 50000 or 4000 do
        local where = string.format("seed %d, step %d", seed, i)
        m = turn(q, m, old, where)
        if i % 250 == 0 then compare(q, m, where) end
      end
      assert.same("ok", db:prepare "PRAGMA integrity_check":row().integrity_check)
      assert.truthy(q:stats().acks > 100 and q:stats().died > 10)
    end)
  end
end)

-- Under kill -9 -----------------------------------------------------------------------------------------------------

local CHILD = [[
local db = assert(require "xenkit.core.db".open { main = 3, wal = 4, log_pages = 50 })
local q = assert(require "xenkit.jobs".open(db, { keep_done = 1e9, backoff = 0, now = os.clock }))
io.stdout:setvbuf "no"
math.randomseed(tonumber(arg[1]))
-- A line is noted only with the semicolon at its end: a kill may cut a write where it crosses a page of the file.
local function note(lines) io.write(table.concat(lines, ";\n"), ";\n") end
io.write "\n" -- ends the line that the last kill cut
for n = 1, math.huge do
  -- as a service: one transaction for some requests, and answers only after that
  local lines = {}
  local ok, message = q:batch(function()
    for _ = 1, math.random(6) do
      lines[#lines + 1] = "put " .. q:put { kind = "k", payload = ("p"):rep(math.random(0, 3000)) }
    end
    for _, job in ipairs(q:lease("w", math.random(6), 1e9)) do
      lines[#lines + 1] = "lease " .. job.id .. " " .. job.token
      if math.random(5) > 1 then
        assert(q:ack(job.id, job.token, "r" .. job.token))
        lines[#lines + 1] = "ack " .. job.id .. " " .. job.token
      elseif math.random(2) == 1 then
        assert(q:release(job.id, job.token))
      end
    end
    return true
  end)
  assert(ok, message)
  note(lines)
  if n % 10 == 0 then -- and single calls
    local id = assert(q:put { kind = "k" })
    note { "put " .. id }
  end
end
]]

local JUDGE = [[
local db = assert(require "xenkit.core.db".open { main = 3, wal = 4 })
assert(db:prepare "PRAGMA integrity_check":row().integrity_check == "ok")
local q = assert(require "xenkit.jobs".open(db, { keep_done = 1e9 }))
local puts, acked, top, n = {}, {}, 0, 0
for line in io.lines(arg[1]) do
  local op, id, token = line:match "^(%a+) (%d+) ?(%d*);$"
  id, token = tonumber(id), tonumber(token)
  if op == "put" then
    assert(not puts[id], "an id was given twice: " .. id)
    puts[id] = true
    assert(q:get(id), "a put was lost: " .. id)
    n = n + 1
  elseif op == "lease" then
    assert(token > top, "a token did not grow: " .. token)
    top = token
  elseif op == "ack" then
    assert(not acked[id], "a job was acknowledged twice: " .. id)
    acked[id] = token
    assert(q:result(id) == "r" .. token, "an ack was lost: " .. id)
    assert(select(3, q:ack(id, token)) == "XK_EGONE")
  end
end
local s = q:stats()
print("judged", n > 20 and s.puts == 0 and s.late_acks > 0 and s.ready + s.leased + s.done >= n)
]]

describe("jobs under kill -9", function()
  it("lose nothing that was acknowledged, and acknowledge nothing twice", function()
    local p = assert(io.popen "mktemp -d")
    local dir = p:read "l"
    p:close()
    for name, code in pairs { ["child.lua"] = CHILD, ["judge.lua"] = JUDGE, lines = "0" } do
      assert(io.open(dir .. "/" .. name, "w")):write(code):close()
    end
    local run = string.format("cd %s && LUA_PATH='%s' LUA_CPATH='%s' ", dir,
      package.path:gsub("%./", io.popen("pwd"):read "l" .. "/"), package.cpath)
    for round = 1, os.getenv "XK_LONG" and 100 or 6 do
      -- Killed a while after it noted some lines: in the first round so many that the judge has enough to judge.
      assert(os.execute(string.format(run .. [[touch log && { lua5.4 child.lua %d 3<>main 4<>wal >>log 2>>errors & } &&
        until [ $(wc -l <log) -ge $(($(cat lines) + %d)) ] || [ $((tries += 1)) -gt 3000 ]; do sleep 0.01; done
        sleep %.3f; kill -9 $! && ! wait $! 2>&- && wc -l <log >lines]], round,
        round == 1 and 50 or math.random(0, 50), math.random() * 0.1)), "no child to kill in round " .. round)
      local judge <close> = assert(io.popen(run .. " lua5.4 judge.lua log 3<>main 4<>wal 2>&1; cat errors"))
      assert.equal("judged\ttrue\n", judge:read "a", "round " .. round)
    end
    os.execute("rm -r " .. dir)
  end)
end)
