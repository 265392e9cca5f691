-- Processes, figures and places, for the benchmarks: plain Lua 5.4, with bench_tool for what it cannot do.
-- Everything that is started is remembered and stopped by its pid in tools.clean_up. SPDX-License-Identifier: MIT

local tools = { quick = false }

local started, directories = {}, {}

-- What makes a benchmark impossible although nothing is missing: bench/run ends with status 1.
function tools.fail(...)
  error({ failed = string.format(...) }, 0)
end

function tools.quote(s)
  return "'" .. tostring(s):gsub("'", "'\\''") .. "'"
end

function tools.words(...)
  local t = {}
  for i, w in ipairs({ ... }) do
    t[i] = tools.quote(w)
  end
  return table.concat(t, " ")
end

-- The output of a command, and whether it succeeded.
function tools.sh(command)
  local p = assert(io.popen(command, "r"))
  local out = p:read("a")
  return out, (p:close())
end

function tools.exists(path)
  local f = io.open(path, "r")
  if f then
    f:close()
  end
  return f ~= nil
end

function tools.which(name)
  local out = tools.sh("PATH=$PATH:/usr/sbin:/sbin command -v " .. tools.quote(name))
  return out:match("^(/[^\n]+)")
end

function tools.write(path, text)
  local f = assert(io.open(path, "w"))
  assert(f:write(text))
  assert(f:close())
  return path
end

function tools.read(path)
  local f = io.open(path, "r")
  local text = f and f:read("a")
  if f then
    f:close()
  end
  return text
end

function tools.temp()
  local dir = tools.sh("mktemp -d /tmp/xkbench.XXXXXX"):match("[^\n]+") or tools.fail("mktemp does not work")
  directories[#directories + 1] = dir
  return dir
end

-- --- our programs ---

-- The folder of the programs: XK_BENCH_BIN, else build/bench. Returns the path of (name), or nil and the reason.
function tools.program(name)
  local path = (os.getenv("XK_BENCH_BIN") or (tools.root .. "/build/bench")) .. "/" .. name
  if tools.exists(path) then
    return path
  end
  return nil, "skipped: build " .. name .. " (cmake -DXK_BENCH=ON, target bench)"
end

function tools.need(name)
  local path, why = tools.program(name)
  return path or error({ skipped = why }, 0)
end

-- Command prefix that puts a process on a processor, ahead of all else where that is allowed.
local prefix
function tools.on(cpu)
  if not prefix then
    local _, pin = tools.sh("taskset -c 0,1 true 2>/dev/null")
    local _, rt = tools.sh("chrt -r 5 true 2>/dev/null")
    prefix = { pin = pin, rt = rt and os.getenv("XK_BENCH_RT") ~= "0" }
  end
  return (prefix.pin and "taskset -c " .. cpu .. " " or "") .. (prefix.rt and "chrt -r 5 " or "")
end

-- --- processes ---

local function alive(pid)
  local stat = tools.read("/proc/" .. pid .. "/stat")
  return stat ~= nil and not stat:match("^%d+ %(.*%) Z")
end

-- The processes below (pid), itself last.
local function family(pid, into)
  into = into or {}
  for child in tools.sh("ps -o pid= --ppid " .. pid .. " 2>/dev/null"):gmatch("%d+") do
    family(child, into)
  end
  into[#into + 1] = pid
  return into
end

local function kill(signal, pids)
  for _, pid in ipairs(pids) do
    if alive(pid) then
      tools.sh("kill -" .. signal .. " " .. pid .. " 2>/dev/null")
    end
  end
end

local function any_alive(pids)
  for _, pid in ipairs(pids) do
    if alive(pid) then
      return true
    end
  end
  return false
end

-- Starts a server on processor 0, which ends after half an hour whatever happens. Returns its pid.
function tools.start(command, log)
  local line = string.format("%s timeout -k 2 1800 sh -c %s >%s 2>&1 </dev/null & echo $!", tools.on(0),
    tools.quote("exec " .. command), tools.quote(log))
  local pid = tools.sh(line):match("%d+")
  started[pid] = true
  return pid
end

function tools.stop(pid)
  local pids = family(pid)
  started[pid] = nil
  kill("TERM", pids)
  for _ = 1, 30 do
    if not any_alive(pids) then
      return
    end
    tools.sh("sleep 0.1")
  end
  kill("KILL", pids)
end

-- Starts (command) and waits until it answers at (where), a port or a socket.
function tools.serve(name, command, kind, where, patience)
  local log = tools.temp() .. "/log"
  local pid = tools.start(command, log)
  local _, ok = tools.sh(string.format("%s wait %s %s %d", tools.need("bench_tool"), kind, where, patience or 10000))
  if not ok then
    local said = tools.read(log) or ""
    tools.stop(pid)
    tools.fail("%s does not answer; it said: %s", name, said:sub(1, 300))
  end
  return pid
end

-- Calls the functions of (starters), each of which gives a server, or nil and why it is skipped. What cannot start
-- although it is there fails the run in the end, but the others are measured. (told) remembers what was said.
function tools.start_all(out, suite, starters, argument, told)
  local servers = {}
  for name, start in pairs(starters) do
    local ok, server, why = pcall(start, argument)
    if ok and server then
      servers[name] = server
    else
      if not ok and type(server) ~= "table" then
        error(server, 0) -- a mistake of ours, or Ctrl-C
      elseif not ok then
        why = server.skipped or "FAILED: " .. server.failed
        tools.failed = tools.failed or not server.skipped
      end
      if not (told and told[why]) then
        out.note(suite, why)
      end
      if told then
        told[why] = true
      end
    end
  end
  return servers
end

function tools.clean_up()
  for pid in pairs(started) do
    tools.stop(pid)
  end
  for _, dir in ipairs(directories) do
    if dir:match("^/tmp/xkbench%.%w+$") then
      tools.sh("rm -rf " .. dir)
    end
  end
end

function tools.free_port()
  return tools.sh(tools.need("bench_tool") .. " port"):match("%d+") or tools.fail("no free port")
end

-- Our own services: the command in the environment variable (name), or (default); {word} is replaced from (values).
-- nil and the reason when it is not there yet.
function tools.our_command(name, default, values)
  local command = os.getenv(name) or default
  local program = command:match("^%S+")
  local script = command:match("%S+%.lua")
  for _, path in ipairs({ program, script }) do
    local at = path:match("/") and (path:match("^/") and path or tools.root .. "/" .. path)
    if not (at and tools.exists(at)) and not (not at and tools.which(path)) then
      return nil, string.format("ours skipped: %s does not exist (%s to set the command)", path, name)
    end
  end
  command = command:gsub("{(%w+)}", values)
  return "sh -c " .. tools.quote("cd " .. tools.quote(tools.root) .. " && exec " .. command)
end

-- --- figures ---

-- Lines of key=value words.
function tools.records(text)
  local list = {}
  for line in text:gmatch("[^\n]+") do
    local r, any = {}, false
    for key, value in line:gmatch("([%w_]+)=(%S+)") do
      r[key] = tonumber(value) or value
      any = true
    end
    if any then
      list[#list + 1] = r
    end
  end
  return list
end

-- Runs a benchmark program, which must print at least one record.
function tools.sample(command)
  local out, ok = tools.sh("timeout -k 2 120 " .. command .. " 2>&1")
  local list = tools.records(out)
  if not ok or #list == 0 then
    tools.fail("%s fails; it said: %s", command, out:sub(1, 300))
  end
  return list
end

function tools.median(values)
  local v = table.move(values, 1, #values, 1, {})
  table.sort(v)
  local n = #v
  if n == 0 then
    return nil
  end
  return n % 2 == 1 and v[(n + 1) // 2] or (v[n // 2] + v[n // 2 + 1]) / 2
end

-- (max - min) / median, in percent.
function tools.spread(values)
  local m = tools.median(values)
  if not m or m == 0 or #values < 2 then
    return nil
  end
  return (math.max(table.unpack(values)) - math.min(table.unpack(values))) / m * 100
end

function tools.column(records, key)
  local v = {}
  for _, r in ipairs(records or {}) do
    v[#v + 1] = tonumber(r[key])
  end
  return v
end

-- The median of the ratios of samples taken side by side: what slows both does not show.
function tools.ratio(ours, peer)
  local v = {}
  for i = 1, math.min(#ours, #peer) do
    if peer[i] ~= 0 then
      v[#v + 1] = ours[i] / peer[i]
    end
  end
  return tools.median(v)
end

return tools
