-- Fuzzes a parser written in Lua: replays its corpus, then mutates it for a given time.
--   lua5.4 tests/lua/fuzz/driver.lua ENTRY [-seconds N] [-seed N]      ENTRY.lua beside this file, corpus/ENTRY/*
-- A target is a function(bytes) that raises when a promise is broken; to refuse an input is as good as to take it.
-- What failed is printed as a Lua string, to be put into the corpus.
local entry = arg[1]
local seconds, seed = 0, 1
for i = 2, #arg, 2 do
  if arg[i] == "-seconds" then seconds = tonumber(arg[i + 1])
  elseif arg[i] == "-seed" then seed = math.tointeger(arg[i + 1])
  else error("unknown option " .. arg[i]) end
end
math.randomseed(seed)

local here = arg[0]:match("^(.*)/[^/]*$") or "."
local target = dofile(here .. "/" .. entry .. ".lua")

local function load_corpus()
  local list = {}
  local p = assert(io.popen("ls " .. here .. "/corpus/" .. entry))
  for name in p:lines() do
    local f = assert(io.open(here .. "/corpus/" .. entry .. "/" .. name, "rb"))
    list[#list + 1] = f:read("a")
    f:close()
  end
  p:close()
  assert(#list > 0, "no corpus for " .. entry)
  return list
end

local INTERESTING = { "\0", "\255", "\127", "\128", "\n", "\r", " ", "\"", "\\", "{", "}", "[", "]", "=", "-", "\27" }
local random = math.random

local edits = {
  function(s, at) return s:sub(1, at - 1) .. string.char(s:byte(at) ~ (1 << random(0, 7))) .. s:sub(at + 1) end,
  function(s, at) return s:sub(1, at - 1) .. INTERESTING[random(#INTERESTING)] .. s:sub(at + 1) end,
  function(s, at) return s:sub(1, at - 1) end,
  function(s, at) return s:sub(1, at) .. string.char(random(0, 255)) .. s:sub(at + 1) end,
  function(s, at) return #s < 32768 and s .. s:sub(at, random(at, #s)) or s end,
  function(s, at) return s:sub(1, at - 1) .. s:sub(random(at, #s) + 1) end,
}

local function mutate(corpus)
  local s = corpus[random(#corpus)]
  for _ = 1, random(6) do
    if #s == 0 then return s end
    s = edits[random(#edits)](s, random(#s))
  end
  return s
end

local function run(bytes)
  local ok, err = xpcall(target, debug.traceback, bytes)
  if ok then return end
  io.stderr:write(("%s broke on %q\n%s\n"):format(entry, bytes, err))
  os.exit(1)
end

local corpus = load_corpus()
local runs = #corpus
for _, bytes in ipairs(corpus) do run(bytes) end
local stop = os.time() + seconds
while os.time() < stop do
  for _ = 1, 64 do run(mutate(corpus)) end
  runs = runs + 64
end
print(("%d inputs, %d of them from the corpus"):format(runs, #corpus))
