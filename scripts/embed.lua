#!/usr/bin/env lua5.4
-- Makes a C file out of Lua modules: embed.lua OUT [--compiled] [--without FOLDER]... ROOT=PREFIX...
-- Each .lua file below ROOT becomes one struct xk__module: a/b.lua is "PREFIX.a.b", a/init.lua is "PREFIX.a".
-- --compiled: as bytecode with its line numbers, which loads in a fraction of the time; --source: not so; for the roots
-- behind it. --without: not these folders.
local out = assert(arg[1], "usage: embed.lua OUT [--compiled | --source | --without FOLDER | ROOT=PREFIX]...")
local modules, compiled, without, roots = {}, false, {}, {}

do
  local i = 2
  while arg[i] do
    if arg[i] == "--compiled" or arg[i] == "--source" then compiled = arg[i] == "--compiled"
    elseif arg[i] == "--without" then
      i = i + 1
      without[arg[i]] = true
    else roots[#roots + 1] = { arg[i], compiled } end
    i = i + 1
  end
end

local slim = dofile((arg[0]:match("^(.*)/[^/]*$") or ".") .. "/slim.lua")

local function content(source, name, as_bytecode)
  return as_bytecode and slim(string.dump(assert(load(source, "@" .. name, "t")))) or source
end

for _, r in ipairs(roots) do
  local root, prefix = r[1]:match("^(.-)=(.*)$")
  local p = assert(io.popen("cd '" .. root .. "' && find . -name '*.lua' | LC_ALL=C sort"))
  for line in p:lines() do
    local path = line:gsub("^%./", "")
    local name = prefix .. "." .. path:gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
    if path == "init.lua" then name = prefix end
    if not without[path:match("^(.-)/") or ""] then
      local f = assert(io.open(root .. "/" .. path, "rb"))
      modules[#modules + 1] = { name = name, source = content(f:read("a"), name, r[2]) }
      f:close()
    end
  end
  p:close()
end

local parts = { '/* Made by scripts/embed.lua. */\n#include "program/program.h"\n\n' }
for i, m in ipairs(modules) do
  parts[#parts + 1] = string.format("static const char m%d[] = {", i)
  for at = 1, #m.source, 20 do
    parts[#parts + 1] = "\n    " .. table.concat({ m.source:byte(at, at + 19) }, ",") .. ","
  end
  parts[#parts + 1] = "0};\n"
end
parts[#parts + 1] = "\nconst struct xk__module xk__modules[] = {\n"
for i, m in ipairs(modules) do
  parts[#parts + 1] = string.format('    {"%s", m%d, %d},\n', m.name, i, #m.source)
end
parts[#parts + 1] = "    {0, 0, 0},\n};\n"

local f = assert(io.open(out, "wb"))
-- Bytes above 127 as char initialisers need a cast-free spelling.
local text = table.concat(parts):gsub("([{,\n ])(%d%d%d)(,)", function(a, n, b)
  n = tonumber(n)
  return a .. (n > 127 and n - 256 or n) .. b
end)
f:write(text)
f:close()
