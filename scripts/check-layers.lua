#!/usr/bin/env lua5.4
-- Checks the arrows of layers.txt: which file includes what, and which object files make system calls or see Lua.
--   check-layers.lua [--root DIR] [OBJECT...]
-- Prints one line for each forbidden arrow and exits 1; exits 0 and prints one line when all is well.
local root, objects = ".", {}
do
  local i = 1
  while arg[i] do
    if arg[i] == "--root" then root = arg[i + 1]; i = i + 2 else objects[#objects + 1] = arg[i]; i = i + 1 end
  end
end

local function die(...) io.stderr:write("check-layers: ", string.format(...), "\n"); os.exit(2) end

local function read_layers(path)
  local layers, by_name = {}, {}
  local n = 0
  for line in assert(io.open(path)):lines() do
    n = n + 1
    line = line:gsub("#.*", "")
    if line:match("%S") then
      local left, right = line:match("^(.-)%s:(.*)$")
      if not left then die("%s:%d: no colon", path, n) end
      local words = {}
      for w in left:gmatch("%S+") do words[#words + 1] = w end
      local layer = { name = words[1], prefix = words[2], may = {} }
      for i = 3, #words do layer[words[i]] = true end
      for w in right:gmatch("%S+") do
        if not by_name[w] then die("%s:%d: floor '%s' is not above: arrows point upwards only", path, n, w) end
        layer.may[w] = true
      end
      layers[#layers + 1], by_name[layer.name] = layer, layer
    end
  end
  return layers
end

local layers = read_layers(root .. "/layers.txt")

local function layer_of(path)
  for _, l in ipairs(layers) do
    if path:sub(1, #l.prefix) == l.prefix then return l end
  end
end

-- Headers of the C language itself: allowed on every floor. Everything else with <> is judged below.
local LANGUAGE = {}
for h in ([[assert ctype errno float inttypes limits math stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib
            stdnoreturn string time]]):gmatch("%S+") do LANGUAGE[h .. ".h"] = true end
-- Libraries, and the floors that are there for them.
local LIBRARY = {
  ["http_parser.h"] = "proto-http", ["cmark.h"] = "markup", ["sqlite3.h"] = "db", ["seccomp.h"] = "host uplink",
  ["pthread.h"] = "host program", ["ares.h"] = "resolve", ["slirp/libslirp.h"] = "uplink",
  ["zlib.h"] = "archive", ["openssl/crypto.h"] = "crypt program", ["openssl/evp.h"] = "crypt program",
  ["openssl/rand.h"] = "crypt program",
}

local bad = 0
local function complain(...) bad = bad + 1; print(string.format(...)) end

local function check_include(file, n, layer, open, name)
  local where = string.format("%s:%d: floor '%s'", file, n, layer.name)
  if open == "<" then
    if name:match("^xenkit/") or LANGUAGE[name] then return end
    if name:match("^lua") or name == "lauxlib.h" then
      if not layer.lua then complain("%s may not include <%s>: only bindings/ and src/program/ see Lua", where,
        name) end
    elseif LIBRARY[name] then
      if not (" " .. LIBRARY[name] .. " "):find(" " .. layer.name .. " ", 1, true) then
        complain("%s may not include <%s>: that library belongs to floor '%s'", where, name, LIBRARY[name])
      end
    elseif not layer.sys then
      complain("%s may not include <%s>: no operating system or foreign header on this floor", where, name)
    end
    return
  end
  local target = layer_of("src/" .. name) or layer_of(name)
  if not name:find("/") or not target then
    complain('%s includes "%s": name a header by its folder, as "base/list.h"', where, name)
  elseif target ~= layer and not layer.may[target.name] then
    complain('%s may not include "%s" of floor \'%s\'; see layers.txt', where, name, target.name)
  end
  local mine, theirs = file:match("/(%w+)%.[ch]$"), name:match("/(%w+)%.h$")
  if (mine == "front" and theirs == "back") or (mine == "back" and theirs == "front") then
    complain("%s: front and back share proto.h and nothing else", where)
  end
end

local function check_file(file)
  local layer = layer_of(file)
  if not layer then return complain("%s: belongs to no floor of layers.txt", file) end
  local n = 0
  for line in io.lines(root .. "/" .. file) do
    n = n + 1
    local open, name = line:match('^%s*#%s*include%s*([<"])([^>"]+)[>"]')
    if open then check_include(file, n, layer, open, name) end
  end
end

-- Symbols that are a door to the operating system. A floor without `sys` must not need one of them.
local DOOR = {}
for s in ([[open openat creat socket connect bind listen accept accept4 send sendto sendmsg recv recvfrom recvmsg
            read write readv writev pread pwrite close fork vfork execve execv execvp posix_spawn system popen
            mmap munmap mprotect ioctl fcntl poll select epoll_wait epoll_ctl epoll_create1 eventfd timerfd_create
            kill signal sigaction prctl syscall fopen fdopen getenv dlopen pthread_create usleep nanosleep sleep
            memfd_create unlink rename mkdir rmdir stat fstat chdir dup dup2 pipe pipe2 socketpair]]):gmatch("%S+") do
  DOOR[s] = true
end
-- Floors whose library brings a door of its own that is named and watched here.
local DOOR_EXCUSED = { ["bindings"] = {}, ["base"] = {} }

local function check_object(path)
  local rel = path:match("((src/.-)%.c)%.o$") or path:match("((drivers/.-)%.c)%.o$")
    or path:match("((bindings/.-)%.c)%.o$")
  if not rel then return end
  local layer = layer_of(rel)
  if not layer or layer.sys then return end
  local p = assert(io.popen("nm -u '" .. path:gsub("'", "'\\''") .. "' 2>/dev/null"))
  for line in p:lines() do
    local s = line:match("%sU%s+([%w_]+)")
    if s and DOOR[s] and not (DOOR_EXCUSED[layer.name] or {})[s] then
      complain("%s: floor '%s' calls %s(): system calls belong to src/platform, src/host, src/program and src/cli",
        rel, layer.name, s)
    elseif s and s:match("^luaL?_") and not layer.lua then
      complain("%s: floor '%s' calls %s: only bindings/ and src/program/ see Lua", rel, layer.name, s)
    end
  end
  p:close()
end

local count = 0
local p = assert(io.popen("cd '" .. root .. "' && find include src drivers bindings -name '*.[ch]' | sort"))
for file in p:lines() do count = count + 1; check_file(file) end
p:close()
for _, o in ipairs(objects) do check_object(o) end
if bad > 0 then
  print(string.format("check-layers: %d forbidden arrow%s", bad, bad == 1 and "" or "s"))
  os.exit(1)
end
print(string.format("check-layers: %d files and %d objects, every arrow allowed", count, #objects))
