-- A domain that notices everything its store does: tasks that write and read through the ring, transactions that count,
-- a watch. It says at its end what was wrong.
local task = require "xenkit.task"

local TASKS = 8

return {
  summary = "Tests a store that changes its process.",
  params = { { "seconds", type = "number", default = 5, help = "how long" } },
  start = function(ctx)
    local s, finish = ctx.store, ctx.world:now() + ctx.params.seconds
    local requests, wrong, events, commits = 0, 0, 0, 0
    local function bad(...)
      wrong = wrong + 1
      if wrong < 10 then print("ringer: " .. string.format(...)) end
    end
    assert(s:write("data/count", 0))
    local w = assert(s:watch("data"))
    local watcher = task.spawn(function()
      for _ in w:events() do events = events + 1 end
    end)
    local list = {}
    for i = 1, TASKS do
      list[i] = task.spawn(function()
        local path, n = "data/v" .. i, 0
        while ctx.world:now() < finish do
          n = n + 1
          local ok, err = s:write(path, ("%d %s"):format(n, ("x"):rep(n % 1500)))
          local v, e = s:read(path)
          requests = requests + 2
          if not ok then bad("write: %s", err) end
          if not v or math.tointeger(tonumber(v:match("^%d+"))) ~= n then
            bad("%s is %s where %d was written", path, tostring(v or e):sub(1, 20), n)
          end
          if n % 20 == 0 then
            local done, te = s:transaction(function(t)
              local c = t:read("data/count")
              task.sleep(0.001)
              return t:write("data/count", math.tointeger(tonumber(c)) + 1)
            end)
            if done then commits = commits + 1 else bad("transaction: %s", te) end
          end
        end
      end)
    end
    for _, t in ipairs(list) do t:join() end
    watcher:cancel()
    local count = math.tointeger(tonumber(s:read("data/count")))
    -- A commit whose answer was lost in a crash is made again: then there are more of them than were acknowledged.
    if count < commits then bad("%d transactions were acknowledged, %d are there", commits, count) end
    if events == 0 then bad("no event came") end
    print(("ringer: requests=%d commits=%d count=%d events=%d wrong=%d"):format(requests, commits, count, events,
      wrong))
    return wrong > 0 and 1 or 0
  end,
}
