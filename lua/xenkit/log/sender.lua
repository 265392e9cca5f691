--- A domain's end of the way to the log domain: finds it, shares the ring of last words with it, sends what waits, and
-- begins anew when the log domain does. Until it is reached records wait in the queue.
-- @module xenkit.log.sender
local flow = require "xenkit.flow"
local json = require "xenkit.json"
local level = require "xenkit.log.level"
local task = require "xenkit.task"
local wire = require "xenkit.log.wire"

local M = {}

local BATCH = 8192
local FIRST_PAUSE, LAST_PAUSE = 0.05, 20 -- seconds between tries

-- The rules come by the same stream; its end is noticed here.
local function listen(hub, link)
  local next_frame = wire.frames(link.stream, 65536)
  while true do
    local kind, body = next_frame()
    if not kind then break end
    local ok, rules = pcall(json.decode, body)
    if kind == "L" and ok and type(rules) == "table" then
      hub.own_rules = level.checked(rules.own)
      hub:set_rules(hub.own_rules, level.checked(rules.world))
    end
  end
  link.ended = true
  if hub.wake then task.wake(hub.wake) end
end

-- A life begins at the start, and when a suspended domain goes on under another number: to the log domain that is
-- another domain, which has said nothing before what waits now.
local function begin_life(ctx, hub)
  local _, queue = hub:parts()
  hub.life = ("%08x%08x"):format(math.random(0, 0xffffffff), math.random(0, 0xffffffff))
  if hub.domid then
    hub.from = queue:seq() or hub.seq + 1
    hub:renew_box(queue:peek(math.huge))
  end
  hub.domid = ctx.domid
end

local function hello(ctx, hub, link)
  if hub.domid ~= ctx.domid then begin_life(ctx, hub) end
  local box, queue = hub:parts()
  local refs = box and box:share(link.stream.peer)
  local words = { version = 1, life = hub.life, from = hub.from, next = queue:seq() or hub.seq + 1, ring = refs,
    rules = hub.own_rules }
  return link.stream:write(wire.frame("H", json.encode(words)), 10)
end

local function frames_of(list)
  local parts = {}
  for i, bytes in ipairs(list) do parts[i] = wire.frame("R", bytes) end
  return table.concat(parts)
end

-- Sends what waits; then, when something was dropped at the end, up to where. @return nil when the stream failed
local function send(hub, link)
  local queue = hub.queue
  while queue:seq() and not link.ended do
    local list = queue:peek(BATCH)
    if not link.stream:write(frames_of(list)) then return nil end
    queue:drop(#list)
  end
  if link.told ~= queue.dropped and not queue:seq() then
    link.told = queue.dropped
    return link.stream:write(wire.frame("A", ("<I8"):pack(hub.seq + 1)))
  end
  return true
end

local function idle(hub)
  hub.wake = task.wait_id()
  task.wait(hub.wake)
  hub.wake = nil
end

local function session(ctx, hub, stream)
  local s <close> = stream
  local link = { stream = s, told = 0 }
  if not hello(ctx, hub, link) then return end
  local _ <close> = task.spawn(listen, hub, link)
  while not link.ended do
    if not send(hub, link) then return end
    if hub.closing then return s:write(wire.frame("B", ""), 1) end
    if not link.ended and not hub.queue:seq() then idle(hub) end
  end
end

--- Runs until the domain ends. @param hub of `xenkit.domain_log`
function M.run(ctx, hub)
  local watch, pause = ctx.store:watch("/local/service/log"), FIRST_PAUSE
  while true do
    local server = ctx.store:read("/local/service/log")
    hub.reaching = math.tointeger(tonumber(server)) ~= nil
    local stream = hub.reaching and flow.connect(ctx, "log", 2)
    if stream then
      session(ctx, hub, stream)
      if hub.closing then break end
      pause = FIRST_PAUSE
    end
    -- A new log domain is seen at once; while there is none, nothing is done.
    local _, _, code = nil, nil, "XK_ECLOSED"
    if watch then _, _, code = watch:next(hub.reaching and pause or nil) end
    if code and code ~= "XK_ETIMEDOUT" then task.sleep(pause) end
    pause = math.min(pause * 2, LAST_PAUSE)
  end
  hub.closed = true
end

--- Says good bye once all is sent, within `seconds`. For the end of a domain.
function M.finish(hub, seconds)
  hub.closing = true
  if hub.wake then task.wake(hub.wake) end
  local deadline = hub.world:now() + seconds
  -- (reaching) nil: it has not yet looked whether there is a log domain, so short was this life.
  while hub.reaching ~= false and hub.wire and not hub.closed and hub.world:now() < deadline do task.sleep(0.005) end
end

return M
