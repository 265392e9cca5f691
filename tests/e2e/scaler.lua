#!/usr/bin/env lua5.4
-- The scaler in a real world: load raises the number of web domains, its end lowers it, a domain without the right
-- is refused. TAP. Usage: tests/e2e/scaler.lua BUILD_DIR, from the root of the tree. Needs wrk, or takes curl.
local build = assert(arg[1], "usage: tests/e2e/scaler.lua BUILD_DIR")

local function sh(command)
  local p = assert(io.popen(command .. " 2>&1"))
  local text = p:read("a")
  local _, _, code = p:close()
  return text, code
end

local function trim(s) return (s:gsub("%s+$", "")) end

local tmp = trim(sh("mktemp -d /tmp/xk-scaler.XXXXXX"))
assert(tmp:match("^/tmp/xk%-scaler%."), tmp)
local xenkit = ("XENKIT_RUNTIME_DIR=%s/rt timeout -s KILL 10 %s/xenkit "):format(tmp, build)
local began = os.time()

local function write(name, text)
  local f = assert(io.open(tmp .. "/" .. name, "w"))
  f:write(text)
  f:close()
end

-- What a worker might try: it asks, writes down what it is told, and that it may still look.
write("greedy.lua", [[
local flow, rpc, task = require "xenkit.flow", require "xenkit.rpc", require "xenkit.task"
return {
  start = function(ctx)
    local c = rpc.client(assert(flow.connect(ctx, "toolstack")))
    for method, params in pairs { scale = { name = "www", count = 3 }, create = { name = "x", service = "repl" },
      destroy = { name = "www-1" }, down = {} } do
      local r, _, code = c:call(method, params)
      ctx.store:write("data/result/" .. method, r and "done" or code)
    end
    for _, method in ipairs { "list", "info", "events" } do
      ctx.store:write("data/result/" .. method, c:call(method, {}) and "done" or "refused")
    end
    ctx.store:write("data/result/end", "yes")
    while true do task.sleep(60) end
  end,
}]])
write("w.lua", ([[
return { name = "e2e-scaler", domains = {
  { name = "www", service = "www", restart = "always", params = { port = 0, root = "site" },
    scale = { min = 1, max = 3 } },
  { name = "scaler", service = "scaler", params = { max = 3, target = 0.05, stable = 2, cooldown = 1, panic = 0.5 } },
  { name = "greedy", script = "%s/greedy.lua" },
} }]]):format(tmp))

local number, failed = 0, 0
local function ok(good, what, detail)
  number = number + 1
  print(("%sok %d - %s"):format(good and "" or "not ", number, what))
  if not good then
    failed = failed + 1
    for line in (tostring(detail or "") .. "\n"):gmatch("(.-)\n") do print("# " .. line) end
  end
  return good
end

local function list() return sh(xenkit .. "list") end

local function count(text)
  local n = 0
  for _ in (text or list()):gmatch("%f[^\n\0]www%-%d+%s") do n = n + 1 end
  return n
end

-- Looks ten times a second until fn() is true. @return it, within `seconds`
local function wait_for(seconds, fn)
  for _ = 1, seconds * 10 do
    local v = fn()
    if v then return v end
    os.execute("sleep 0.1")
  end
end

local function domid(name) return list():match("\n" .. name .. "%s+(%d+)") end

local function node(name, path)
  return trim(sh(("%s store read /local/domain/%s/data/%s"):format(xenkit, domid(name) or 0, path)))
end

local function refused()
  wait_for(5, function() return node("greedy", "result/end") == "yes" end)
  for _, method in ipairs { "scale", "create", "destroy", "down" } do
    local v = node("greedy", "result/" .. method)
    ok(v == "XK_EPERM", "a domain without the right may not " .. method, v)
  end
  for _, method in ipairs { "list", "info", "events" } do
    local v = node("greedy", "result/" .. method)
    ok(v == "done", "a domain without the right may ask for " .. method, v)
  end
  ok(sh(xenkit .. "dmesg"):find("refused%s+greedy"), "the refusal is among the events", sh(xenkit .. "dmesg"))
  ok(count() == 1, "the refused requests changed nothing", list())
end

local function load_url(url, seconds)
  local _, no_wrk = sh("command -v wrk")
  if no_wrk == 0 then
    return ("timeout -s KILL %d wrk -t1 -c16 -d%ds -H 'Connection: close' %s >%s/load.txt 2>&1 & echo $!"):format(
      seconds + 3, seconds, url, tmp)
  end
  return ("timeout -s KILL %d sh -c 'while :; do curl -s %s >/dev/null; done' >/dev/null 2>&1 & echo $!"):format(
    seconds, url)
end

local function scaled()
  local address = sh(xenkit .. "info"):match("www%.http%s+(%S+)")
  if not ok(address, "the web server listens", sh(xenkit .. "info")) then return end
  ok(wait_for(3, function() return node("scaler", "scaler/wanted") == "1" end), "without load one web domain is wanted",
    sh(xenkit .. "store ls /local/domain"))
  sh(load_url("http://" .. address .. "/hello", 6))
  local most = 0
  ok(wait_for(7, function()
    most = math.max(most, count())
    return most >= 2
  end), "load raises the number of web domains", list())
  local why = node("scaler", "scaler/reason")
  ok(why:find("^from %d to %d: ") or why:find("^stays at %d: "), "the scaler says why", why)
  print(("# %d web domains; %s"):format(most, why))
  ok(wait_for(14, function() return count() == 1 and os.time() end), "the end of the load lowers it to one", list())
  local events = sh(xenkit .. "dmesg")
  ok(events:find("drain%s+www%-2"), "what goes is drained first", events)
  ok(not events:find("crashed"), "nothing crashed", events)
  ok(sh("curl -s -m 3 http://" .. address .. "/healthz") == "ok\n", "the server still answers on its port")
end

local function clean_up()
  sh(xenkit .. "down -w e2e-scaler")
  sh("rm -rf " .. tmp)
end

os.execute(("XENKIT_RUNTIME_DIR=%s/rt timeout -s KILL 38 %s/xenkit up %s/w.lua >%s/up.log 2>&1 &"):format(tmp, build,
  tmp, tmp))
local good, err = pcall(function()
  local up = wait_for(8, function() return sh("grep -c 'is up' " .. tmp .. "/up.log"):match("^1") end)
  if ok(up, "the world comes up", sh("cat " .. tmp .. "/up.log")) then
    refused()
    scaled()
  end
end)
if not good then ok(false, "the test itself", err) end
clean_up()
ok(os.time() - began < 40, "within 40 seconds")
print("1.." .. number)
os.exit(failed == 0)
