-- What a log call costs its domain, in nanoseconds of processor time: not wanted, kept (record made, into the ring of
-- last words, into the queue), and sent as well; and what the console adds. See docs/log.md.
--
--     xenkit up bench/log_cost_world.lua       and read the console of `cost`
local task = require "xenkit.task"

local function time(n, fn)
  local best = math.huge
  for _ = 1, 5 do
    local began = os.clock()
    fn(n)
    best = math.min(best, (os.clock() - began) / n * 1e9)
  end
  return best
end

-- In small steps, so that the queue never fills and all of it is sent.
local function sent(hub, n, fn)
  local before = hub.queue.dropped
  for _ = 1, n // 200 do
    fn(200)
    while hub.queue:seq() do task.sleep(0.0005) end
  end
  assert(hub.queue.dropped == before, "the queue was full")
end

return {
  summary = "Measures what a log call costs.",
  start = function(ctx)
    local hub, log = ctx.log_hub, ctx.log
    log("info", "first")
    task.sleep(0.5)
    local fields = { bytes = 1234, path = "/index.html" }
    local function record(n) for _ = 1, n do hub:record(2, "", "request served", fields) end end
    local function report(what, ns) print(("%-34s %8.0f ns"):format(what, ns)) end
    report("an empty loop", time(1000000, function(n) for _ = 1, n do end end))
    report("not wanted: log.debug(text)", time(1000000, function(n) for _ = 1, n do log.debug("x") end end))
    report("not wanted: log(\"debug\", text)", time(1000000, function(n) for _ = 1, n do log("debug", "x") end end))
    report("kept: record, ring, queue", time(900, function(n) -- the queue takes 1000
      record(n)
    end))
    while hub.queue:seq() do task.sleep(0.01) end
    report("kept and sent, without console", time(20000, function(n) sent(hub, n, record) end))
    report("log(\"info\", text, fields), all of it", time(20000, function(n)
      sent(hub, n, function(k) for _ = 1, k do log("info", "request served", fields) end end)
    end))
    print("done")
  end,
}
