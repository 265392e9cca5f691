-- Puts jobs into the queue of its world, waits until all are done, and says what became of them:
--   jobs: 200 put, 200 done, 0 lost, 0 acknowledged twice
-- A world for it:
--   return { domains = {
--     { name = "queue", service = "queue", params = { data = "/tmp/jobs" } },
--     { name = "worker", service = "worker", replicas = 2, params = { work = "job" } },
--     { name = "jobs", script = "jobs.lua" },
--   } }
-- Each job has a key made of `run` and its number. With `run` given, this domain may be killed and start again: it
-- finds its jobs.
local queue = require "xenkit.queue"
local task = require "xenkit.task"

-- Runs fn(1) .. fn(n), a few dozen at a time.
local function each(n, fn)
  local next_one, tasks = 0, {}
  for t = 1, 32 do
    tasks[t] = task.spawn(function()
      while next_one < n do
        next_one = next_one + 1
        fn(next_one)
      end
    end)
  end
  for _, t in ipairs(tasks) do t:join() end
end

return {
  summary = "Puts jobs into a queue and waits for all of their results.",
  params = {
    { "n", type = "integer", default = 200, min = 1, max = 10000, help = "how many; no more than the queue keeps" },
    { "kind", default = "sleep", help = "their kind: for workers with work=job, what to do" },
    { "payload", default = "0.01", help = "their payload" },
    { "run", default = "", help = "name of this set of jobs; default: a new one at each start" },
    { "queue", default = "queue", help = "the queue's flow" },
  },
  start = function(ctx)
    local p = ctx.params
    local run = p.run ~= "" and p.run or ("%x"):format(math.floor(ctx.world:wallclock() * 1000))
    local q <close> = queue.connect(ctx, p.queue)
    local ids, done, lost = {}, 0, 0
    each(p.n, function(i)
      ids[i] = assert(q:put { kind = p.kind, payload = p.payload, unique = run .. "-" .. i, window = 3600 }).id
    end)
    each(p.n, function(i)
      while true do
        local result, err, code = q:result(ids[i])
        if result then
          done = done + 1
          return
        end
        if code ~= "XK_EAGAIN" and code ~= "XK_ETIMEDOUT" then
          print(("job %d: %s"):format(ids[i], err))
          lost = lost + 1
          return
        end
        task.sleep(0.1)
      end
    end)
    local audit = assert(q:audit())
    print(("jobs: %d put, %d done, %d lost, %d acknowledged twice"):format(#ids, done, lost, audit.twice))
    return lost == 0 and audit.twice == 0 and 0 or 1
  end,
}
