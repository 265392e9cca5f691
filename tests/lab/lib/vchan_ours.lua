-- Our ends for tests/lab/test_vchan.sh: a service that goes through its lines of the plan, one after the other, and
-- prints "result ID good ..." or "result ID bad: ...". See there for the plan, and vchan_peer.c for the jobs.
local task = require "xenkit.task"
local vchan = require "xenkit.vchan"

local PERIOD, MEETING, PATIENCE = 65537, 150, 20
local pattern

local function fill_pattern()
  local x, t = 1, {}
  for i = 1, PERIOD do
    x = (x * 1103515245 + 12345) & 0x7fffffff
    t[i] = string.char(x >> 16 & 255)
  end
  pattern = table.concat(t):rep(3)
end

local function at(offset, n)
  local from = offset % PERIOD
  return pattern:sub(from + 1, from + n)
end

local function check(r, ...)
  if r then return r end
  error({ ... }, 0)
end

local function stream(s, block, total)
  local writer = task.spawn(function()
    for off = 0, total - 1, block do check(s:write(at(off, math.min(block, total - off)), PATIENCE)) end
    check(s:write("good", PATIENCE))
  end)
  local off = 0
  while off < total do
    local data = check(s:read(math.min(block, total - off), PATIENCE))
    if data ~= at(off, #data) then error("what came is not what was sent", 0) end
    off = off + #data
  end
  local verdict = check(s:read_exactly(4, PATIENCE))
  if verdict ~= "good" then error("the peer has read something else", 0) end
  writer:join()
end

local function packets(s, size, count)
  for i = 1, count do
    check(s:send(at(i, size), PATIENCE))
    local data, err = s:recv(size, PATIENCE)
    check(data, err)
    if data ~= at(i, size) then error("the packet is another", 0) end
  end
end

-- Reads and writes at once until both have failed. @return how each ended, and how long nothing had come then
local function to_the_end(s, ctx)
  local last = ctx.world:now()
  local function why(err, code) return code or err end
  local reader = task.spawn(function()
    while true do
      local data, err, code = s:read(nil, PATIENCE)
      if not data then return why(err, code) end
      last = ctx.world:now()
    end
  end)
  local writer = task.spawn(function()
    local off = 0
    while true do
      local ok, err, code = s:write(at(off, 1000), PATIENCE)
      if not ok then return why(err, code) end
      off = off + 1000
    end
  end)
  local r, w = reader:join(), writer:join()
  return r, w, ctx.world:now() - last
end

local jobs = {}
jobs["end-ours"] = function(s)
  check(s:write("last words", PATIENCE))
  check(s:drain(PATIENCE))
end
jobs["end-peer"] = function(s)
  local words = check(s:read_exactly(10, PATIENCE))
  if words ~= "last words" then error("the last words are others", 0) end
  local more, err, code = s:read(1, PATIENCE)
  if more or code then error("no end: " .. tostring(code or err or more), 0) end
end
jobs.die = function(s, ctx)
  local r, w, silence = to_the_end(s, ctx)
  if r ~= "end of stream" or w ~= "XK_EPIPE" or silence > 3 then
    error(("read: %s, write: %s, %.1f s"):format(r, w, silence), 0)
  end
end
jobs.silent = function(s, ctx, id)
  check(s:read_exactly(5, PATIENCE))
  check(ctx.store:write("data/v-silent/" .. id, "1"))
  local r, w = to_the_end(s, ctx)
  if r ~= "XK_EGONE" or w ~= "XK_EGONE" then error(("read: %s, write: %s"):format(r, w), 0) end
end

local function work(ctx, c, s)
  c.from = c.from or ctx.world:now()
  for job in c.jobs:gmatch "[^,]+" do
    local a, b = job:match ":(%d+):(%d+)$"
    a, b = math.tointeger(tonumber(a)), math.tointeger(tonumber(b))
    if job:match "^stream:" then stream(s, a, b)
    elseif job:match "^packet:" then packets(s, a, b)
    else jobs[job](s, ctx, c.id) end
  end
end

local function run(ctx, c, peer)
  local path = "data/v/" .. c.id
  if c.role == "client" then
    local s <close> = check(vchan.connect(ctx, peer, "/local/domain/" .. peer .. "/" .. path, MEETING))
    return work(ctx, c, s)
  end
  local count = c.kind == "persist" and 3 or 1
  local l <close> = check(vchan.listen(ctx, peer, path, { left = c.left, right = c.right, persist = count > 1 }))
  for _ = 1, count do
    local s <close> = check(l:accept(MEETING))
    work(ctx, c, s)
  end
end

local function text(e)
  if type(e) ~= "table" then return tostring(e) end
  return tostring(e[1]) .. (e[2] and " (" .. tostring(e[2]) .. ")" or "")
end

local function one(ctx, c, peer)
  local ok, err = pcall(run, ctx, c, peer)
  local left = c.role == "server" and ctx.store:read("data/v/" .. c.id .. "/ring-ref")
  if ok and left then ok, err = false, "the nodes are still there" end
  local took = c.from and ctx.world:now() - c.from or 0
  print(("result %s %s %.2f"):format(c.id, ok and "good" or "bad: " .. text(err), took))
end

return {
  params = {
    { "plan", help = "the file with all lines" },
    { "place", help = "whose lines" },
  },
  needs = { text = { plan = "$plan" } },
  start = function(ctx)
    fill_pattern()
    local ids = {}
    local told = check(ctx.store:wait_for("data/v-peers", function(s) return s:read "data/v-peers" end, 60))
    for name, id in told:gmatch "(%S+)=(%d+)" do ids[name] = math.tointeger(tonumber(id)) end
    local silent = {}
    for line in ctx.text.plan:gmatch "[^\n]+" do
      local c = {}
      c.id, c.ours, c.upstream, c.role, c.kind, c.left, c.right, c.jobs = line:match(("(%S+) "):rep(7) .. "(%S+)")
      c.left, c.right = math.tointeger(tonumber(c.left)), math.tointeger(tonumber(c.right))
      if c.ours == ctx.params.place then
        if c.jobs == "silent" then
          silent[#silent + 1] = task.spawn(one, ctx, c, ids[c.upstream])
          local mark = "data/v-silent/" .. c.id
          ctx.store:wait_for(mark, function(s) return s:read(mark) end, MEETING)
        else
          one(ctx, c, ids[c.upstream])
        end
      end
    end
    for _, t in ipairs(silent) do t:join() end
    if silent[1] and not ctx.store:read "data/v-died" then
      print "result early bad: they ended before g1 was destroyed"
    end
    print "result all done"
  end,
}
