-- The queue under kill -9: 200 jobs, two workers; three times, with XK_LONG=1 five, the queue's and a worker's process
-- are killed while at least 50 jobs are leased and 50 wait. At the end each job is done, and none was acknowledged twice.
--   lua5.4 tests/e2e/queue.lua BUILD_DIR
local here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
package.path = here .. "../../lua/?.lua;" .. package.path
local json = require "xenkit.json"

local JOBS, ROUNDS, AT_LEAST = 200, os.getenv("XK_LONG") and 5 or 3, 50
local SECONDS = 4 -- that a job takes: long enough that all rounds leave 50 waiting
local build = arg[1] or "build"
local dir, url, port
local number, failures = 0, 0

local function capture(command)
  local p <close> = assert(io.popen(command))
  return p:read "a"
end

local function run(command) return (os.execute(command)) end

local function ok(good, ...)
  number = number + 1
  if not good then failures = failures + 1 end
  print((good and "ok " or "not ok ") .. number .. " - " .. string.format(...))
  io.stdout:flush()
  return good
end

local function xenkit(words, seconds)
  return ("XENKIT_RUNTIME_DIR=%s/rt timeout -s KILL %d %s/xenkit %s"):format(dir, seconds or 10, build, words)
end

local function write(path, text)
  local f <close> = assert(io.open(path, "w"))
  f:write(text)
end

local function now() return tonumber((capture("cut -d' ' -f1 /proc/uptime"))) end

-- Looks until fn() gives something, or for so many seconds.
local function wait_for(seconds, fn)
  local till = now() + seconds
  repeat
    local v = fn()
    if v then return v end
    run "sleep 0.05"
  until now() > till
  return nil
end

local function ask(path)
  local answer = json.decode(capture(("curl -s -m 3 %s%s"):format(url, path)))
  return answer and answer.result
end

-- Many requests over one connection. @return the results in their order
local function ask_all(requests)
  local lines = { "silent", "max-time = 20" }
  for i, r in ipairs(requests) do
    if i > 1 then lines[#lines + 1] = "next\nsilent\nmax-time = 20" end
    lines[#lines + 1] = ('url = "%s%s"'):format(url, r[1])
    if r[2] then lines[#lines + 1] = ("data = %s"):format(json.encode(json.encode(r[2]))) end
  end
  write(dir .. "/requests", table.concat(lines, "\n") .. "\n")
  local out = {}
  for line in capture("curl -K " .. dir .. "/requests"):gmatch "[^\n]+" do
    out[#out + 1] = (json.decode(line) or {}).result or false
  end
  return out
end

local WORLD = [[
return { name = "queue-e2e", domains = {
  { name = "queue", service = "queue", restart = "always",
    params = { data = "%s/data", port = %d, attempts = 100 } },
  { name = "worker", service = "worker", restart = "always", replicas = 2,
    params = { concurrency = 27, lease = 4, work = "job", log = "%s/acked" } },
} }
]]

local function start()
  for _ = 1, 5 do
    port = port or math.random(20000, 60000)
    url = "http://127.0.0.1:" .. port
    write(dir .. "/world.lua", WORLD:format(dir, port, dir))
    if run(xenkit("up -d -q " .. dir .. "/world.lua >/dev/null 2>" .. dir .. "/up.err", 20)) then
      return wait_for(5, function() return ask "/stats" end)
    end
    port = nil
  end
end

local function stop() return run(xenkit("down >/dev/null 2>&1", 20)) end

-- Name -> pid of the domains that run.
local function pids()
  local list = json.decode(capture(xenkit "list --json 2>/dev/null")) or {}
  local queue, workers = nil, {}
  for _, d in ipairs(list) do
    if d.template == "queue" and d.state == "running" then queue = d.pid end
    if d.template == "worker" and d.state == "running" then workers[#workers + 1] = d end
  end
  table.sort(workers, function(a, b) return a.domid < b.domid end)
  return queue, workers
end

local function put_all()
  local requests = {}
  for i = 1, JOBS do
    requests[i] = { "/put", { kind = "sleep", payload = tostring(SECONDS), unique = "job-" .. i, window = 600 } }
  end
  local ids, count = {}, 0
  for _, r in ipairs(ask_all(requests)) do
    if r and r.id and not ids[r.id] then
      ids[r.id], count = true, count + 1
    end
  end
  ok(count == JOBS, "%d jobs are put", count)
  return ids
end

local function round(i)
  local victims, s
  wait_for(12, function()
    local queue, workers = pids()
    if not queue or #workers == 0 then return end
    victims = { queue, workers[1].pid }
    s = ask "/stats"
    return s and s.leased >= AT_LEAST and s.ready >= AT_LEAST
  end)
  local good = s and s.leased >= AT_LEAST and s.ready >= AT_LEAST
  if good then run("kill -9 " .. table.concat(victims, " ")) end
  ok(good, "round %d: killed with %s leased, %s waiting, %s done", i, s and s.leased, s and s.ready, s and s.done)
  local back = good and wait_for(12, function()
    local queue = pids()
    return queue and queue ~= victims[1] and ask "/stats"
  end)
  ok(back, "round %d: the queue is back: %s leased, %s waiting, %s done", i, back and back.leased, back and back.ready,
    back and back.done)
end

-- How many jobs the workers saw acknowledged, and how many of them more than once.
local function acked()
  local seen, count, twice = {}, 0, 0
  local f <close> = io.open(dir .. "/acked")
  for line in f and f:lines() or function() end do
    local id = line:match "^%d+"
    count = count + 1
    if seen[id] then twice = twice + 1 end
    seen[id] = true
  end
  return count, twice
end

local STATES = { "waiting", "delayed", "ready", "leased", "done", "dead", "cancelled" }
local function states(s)
  local parts = {}
  for i, name in ipairs(STATES) do parts[i] = name .. " " .. tostring(s and s[name]) end
  return table.concat(parts, ", ")
end

local function check_end(ids)
  wait_for(30, function()
    local s = ask "/stats"
    return s and s.done == JOBS
  end)
  local s = ask "/stats"
  ok(s and s.done == JOBS, "all are done: %s", states(s))
  local requests, done = {}, 0
  for id in pairs(ids) do requests[#requests + 1] = { "/jobs/" .. id } end
  for _, job in ipairs(ask_all(requests)) do
    if job and job.state == "done" and job.result == "slept " .. SECONDS then done = done + 1 end
  end
  ok(done == JOBS, "%d of %d have their result, %d are lost", done, JOBS, JOBS - done)
  local audit = ask "/audit"
  ok(audit and audit.acks == JOBS and audit.twice == 0, "the queue's log has %s acknowledgements, %s twice",
    audit and audit.acks, audit and audit.twice)
  local count, twice = acked()
  ok(count > JOBS // 2 and count <= JOBS and twice == 0, "the workers saw %d acknowledged, %d twice", count, twice)
  return s, audit
end

local function check_restart(before, audit)
  ok(stop(), "the world ends")
  local s = start()
  ok(s and states(s) == states(before), "after a restart: %s", states(s))
  local again = ask "/audit"
  ok(again and audit and again.acks == audit.acks and again.twice == audit.twice, "and the same log: %s, %s twice",
    again and again.acks, again and again.twice)
end

local function main()
  if not ok(start(), "a world with a queue and two workers") then return end
  local ids = put_all()
  for i = 1, ROUNDS do round(i) end
  check_restart(check_end(ids))
end

local function clean()
  stop()
  run(("for p in $(ps -eo pid=,args= | grep -F '%s/world.lua' | grep -v grep | awk '{print $1}'); do kill -9 $p; done")
    :format(dir))
  if failures > 0 and os.getenv "KEEP" then return print("# kept " .. dir) end
  run("rm -rf " .. dir)
end

dir = capture("mktemp -d"):match "%S+"
local began = now()
local good, err = pcall(main)
if not good then ok(false, "%s", tostring(err)) end
clean()
print("1.." .. number)
print(("# %.1f s"):format(now() - began))
os.exit(failures == 0)
