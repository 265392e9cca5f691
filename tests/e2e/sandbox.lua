--- A domain's script, run for real, can open nothing that it was not given, and its process holds nothing else.
-- lua5.4 tests/e2e/sandbox.lua BUILD_DIR. Prints TAP. SPDX-License-Identifier: MIT
local build = assert(arg[1], "usage: sandbox.lua BUILD_DIR"):gsub("/$", "")

local function sh(command)
  local p = assert(io.popen(command .. " 2>&1"))
  local text = p:read("a")
  p:close()
  return text
end

local function slurp(path)
  local f = io.open(path, "rb")
  if not f then return "" end
  local text = f:read("a")
  f:close()
  return text
end

local function spit(path, text)
  local f = assert(io.open(path, "wb"))
  assert(f:write(text))
  f:close()
end

-- What the script does: every way to a file, a process or a library that a Lua program could think of. Each
-- attempt says one line; a line that starts with GOT is a hole.
local SERVICE = [==[
return {
  summary = "Tries to get out.",
  params = { { "probe", default = "/etc/passwd" }, { "join", default = "/" } },
  needs = { tcp = { door = "127.0.0.1:0" } },
  start = function(ctx)
    local probe, tried = ctx.params.probe, 0
    local function try(name, fn, ...)
      tried = tried + 1
      local ok, what, why = pcall(fn, ...)
      if ok and what then print("GOT " .. name .. ": " .. tostring(what)) end
    end
    local function absent(name, value)
      tried = tried + 1
      if value ~= nil then print("GOT " .. name .. ": " .. tostring(value)) end
    end
    absent("io", io)
    absent("loaded io", package.loaded.io)
    absent("loaded host", package.loaded["xenkit.core.host"])
    absent("dofile", dofile)
    absent("loadfile", loadfile)
    for _, f in ipairs { "execute", "exit", "getenv", "remove", "rename", "setlocale", "tmpname" } do
      absent("os." .. f, os[f])
    end
    try("require io", require, "io")
    try("require host", require, "xenkit.core.host")
    try("require posix", require, "posix")
    try("require socket", require, "socket")
    package.path = "/tmp/?.lua;/etc/?;./?.lua;" .. package.path
    package.cpath = "/tmp/?.so;/lib/x86_64-linux-gnu/?.so.6;/usr/lib/?.so"
    try("require of a file", require, "passwd")
    try("require of a library", require, "libc")
    try("searchpath", package.searchpath, "passwd", "/etc/?")
    for i, searcher in ipairs(package.searchers) do
      try("searcher " .. i, function()
        local loader = searcher("passwd")
        return type(loader) == "function" and loader
      end)
    end
    for _, lib in ipairs { "libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/libsqlite3.so", probe } do
      try("loadlib " .. lib, package.loadlib, lib, "*")
      try("loadlib open in " .. lib, package.loadlib, lib, "luaopen_io")
    end
    try("load of bytecode by path", load, "@" .. probe)
    -- debug sees everything that Lua holds: no function of a file, process or library may be in reach.
    local seen, bad = {}, { popen = 1, tmpfile = 1, execute = 1, listen_tcp = 1, connect_tcp = 1, listen_unix = 1,
      connect_unix = 1, socketpair = 1, sandbox = 1, hypervisor = 1, seal_in = 1, dofile = 1, loadfile = 1 }
    local function walk(v, name, depth)
      if depth > 12 or v == nil or seen[v] then return end
      local t = type(v)
      if t ~= "table" and t ~= "function" and t ~= "userdata" then return end
      seen[v] = true
      if t == "table" then
        for k, x in next, v do
          if bad[k] and type(x) == "function" and debug.getinfo(x, "S").what == "C" then
            print("GOT the C function " .. name .. "." .. tostring(k))
          end
          walk(x, name .. "." .. tostring(k), depth + 1)
          if type(k) ~= "string" then walk(k, name .. "[key]", depth + 1) end
        end
      elseif t == "function" then
        for i = 1, 255 do
          local n, x = debug.getupvalue(v, i)
          if not n then break end
          walk(x, name .. "^" .. n, depth + 1)
        end
      else
        for i = 1, 8 do walk(debug.getuservalue(v, i), name .. "#" .. i, depth + 1) end
      end
      walk(debug.getmetatable(v), name .. "@", depth + 1)
    end
    tried = tried + 1
    walk(debug.getregistry and debug.getregistry() or {}, "registry", 0)
    walk(_G, "_G", 0)
    walk(ctx, "ctx", 0)
    -- the file API over numbers: nothing lies at numbers that were not given
    local s = require "xenkit.core.stream"
    for _, f in ipairs { "open", "connect", "listen", "socket" } do absent("stream." .. f, s[f]) end
    -- these two are in the program: they must find every door closed
    local w = require "xenkit.core.world"
    try("a world of its own", w.open, nil, "x")
    try("a world by path", w.open, ctx.params.join, "x")
    try("domctl of another", function() return ctx.world:domctl(0, "destroy") end)
    try("domctl of the store", function() return ctx.world:domctl(1, "pause") end)
    try("info of another", function() return ctx.world:info(0) end)
    try("a file named like the store's", function() return ctx.store:write("/local/domain/0/name", "mine") end)
    try("another's home", function() return ctx.store:read("/local/domain/0/name") == "mine" end)
    print("TRIED " .. tried)
    require("xenkit.task").sleep(12)
  end,
}
]==]

local dir = sh("mktemp -d /tmp/xenkit-sandbox-XXXXXX"):gsub("%s+$", "")
local count, failed = 0, 0
local function ok(good, name, detail)
  count = count + 1
  if not good then failed = failed + 1 end
  print(("%s %d - %s"):format(good and "ok" or "not ok", count, name))
  if not good and detail then print("# " .. tostring(detail):gsub("\n", "\n# ")) end
end

spit(dir .. "/escape.lua", SERVICE)
local start = ("XENKIT_RUNTIME_DIR=%s/run SECRET=hunter2 timeout -s KILL 18 %s/xenkit run %s/escape.lua join=%s/run "
  .. ">%s/out 2>&1 & echo $!")
  :format(dir, build, dir, dir, dir)
local pid = tonumber((sh(start)))

local out = ""
for _ = 1, 80 do
  out = slurp(dir .. "/out")
  if out:find("TRIED %d+") then break end
  sh("sleep 0.1")
end
local tried = tonumber(out:match("TRIED (%d+)") or 0)
ok(tried >= 40, "the script ran all attempts (" .. tried .. ")", out)
ok(not out:find("GOT"), "none of them got anything", out)

-- Its process: the one whose arguments say xenkit-domain and the name, below our own xenkit.
local function children(of)
  return sh(("ps -o pid= --ppid %d"):format(of))
end
local domain
for child in children(pid or 0):gmatch("%d+") do
  for grandchild in (child .. " " .. children(child)):gmatch("%d+") do
    if slurp("/proc/" .. grandchild .. "/cmdline"):match("^xenkit%-domain%zescape%z") then domain = grandchild end
  end
end
ok(domain, "the domain's process is there", children(pid or 0))
domain = domain or "0"

local status = slurp("/proc/" .. domain .. "/status")
ok(status:find("Seccomp:%s*2"), "it runs under a seccomp filter", status)
ok(status:find("NoNewPrivs:%s*1"), "it can gain no privilege", status)
ok(status:find("Threads:%s*1%s"), "it has one thread, so that the filter covers it all", status)
ok(slurp("/proc/" .. domain .. "/environ") == "", "its environment is empty")
local limits = slurp("/proc/" .. domain .. "/limits")
ok(limits:find("Max core file size%s+0%s+0"), "it leaves no core file", limits)

-- Descriptors: 0 and 1 nowhere, 2 the log, the control socket and its epoll, event sockets, arenas, the one listener.
local allowed = { "^/dev/null$", "^socket:", "^anon_inode:%[eventpoll%]$", "^/memfd:xenkit%-", "/stderr%.log$" }
local listing, bad, kinds = sh("ls -l /proc/" .. domain .. "/fd"), {}, {}
for number, target in listing:gmatch("(%d+) %-> ([^\n]+)") do
  local fine = false
  for i, pattern in ipairs(allowed) do
    if target:find(pattern) then
      fine = true
      kinds[i] = (kinds[i] or 0) + 1
    end
  end
  if not fine then bad[#bad + 1] = number .. " " .. target end
end
ok(#bad == 0, "it holds only what it was given", table.concat(bad, "\n"))
ok((kinds[1] or 0) == 2 and (kinds[5] or 0) == 1 and (kinds[3] or 0) == 1, "no more than one of each", listing)
local maps, wx = slurp("/proc/" .. domain .. "/maps"), {}
for line in maps:gmatch("[^\n]+") do
  if line:find("^%S+ .wx") then wx[#wx + 1] = line end
end
ok(maps ~= "" and #wx == 0, "no memory is both writable and executable", table.concat(wx, "\n"))
ok(sh("readlink /proc/" .. domain .. "/cwd") == "/\n", "it keeps no folder busy")

if pid then
  sh(("for p in $(ps -o pid= --ppid %d); do kill -TERM $p; done; for i in 1 2 3 4 5 6 7 8 9 10; do "
    .. "kill -0 %d || break; sleep 0.2; done"):format(pid, pid))
end
ok(sh("ls " .. dir .. "/run/*/join"):find("No such"), "the world took its folder with it")
sh("rm -rf " .. dir)
print("1.." .. count)
os.exit(failed == 0)
