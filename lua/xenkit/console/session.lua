--- What a tool asks of the console service, on one stream: a request in a frame of `xenkit.rpc`, an answer, and after
-- "attach" raw bytes both ways.
--
-- `list` - everything about all consoles; `search` and `tail` - lines; `attach` - look and type; `events` - a message
-- for every console that opens and closes, for a bridge. Who may ask is decided by who brings the stream.
-- @module xenkit.console.session
local escape = require "xenkit.console.escape"
local rpc = require "xenkit.rpc"
local task = require "xenkit.task"
local vchan = require "xenkit.core.vchan"

local M = {}

local FIRST_MESSAGE = 10 -- seconds
local APPEAR = 2
local LOOK = 0.1
local FIRST = 64 * 1024 -- bytes of what was said before
local LINES_MAX, ANSWER_MAX = 10000, 512 * 1024
local WRITE = 30
local EVENTS_MAX = 4096

local function find(service, p)
  local domid = math.tointeger(tonumber(p.domid) or -1)
  local num = math.tointeger(tonumber(p.console) or -1) or tostring(p.console)
  if p.console == nil then num = 0 elseif num == -1 then num = tostring(p.console) end
  local deadline = service.world:now() + APPEAR
  while true do -- a domain that was made a moment ago is on its way to us
    local c, there = service:find(domid, num)
    if c then return c, there end
    if service.world:now() > deadline then
      return nil, ("domain %s has no console %s here"):format(tostring(p.domid), tostring(num)), "XK_ENOENT"
    end
    task.sleep(0.02)
  end
end

local function known(policy)
  for _, name in ipairs(escape.policies) do if policy == name then return true end end
  return false
end

local methods = {}

function methods.list(service) return service:list() end

local function lines_within(list)
  local out, size = {}, 0
  for i = #list, 1, -1 do
    local l = list[i]
    local text = escape.clean(l.line)
    size = size + #text + 64
    if size > ANSWER_MAX then break end
    table.insert(out, 1, { time = l.time, place = l.place, line = text })
  end
  return out
end

function methods.search(service, p)
  local c, err, code = find(service, p)
  if not c then return nil, err, code end
  local list, count
  list, count, code = c.history:search(tostring(p.pattern), { lua = p.lua,
    max = math.min(math.tointeger(p.max) or 1000, LINES_MAX) })
  if not list then return nil, count, code end
  local lines = lines_within(list)
  return { lines = lines, count = count, left_out = count - #lines, scrollback_lost = c.history.dropped }
end

--- The last lines as text for a terminal.
function methods.tail(service, p)
  local c, err, code = find(service, p)
  if not c then return nil, err, code end
  local text = c.history:tail(math.min(math.tointeger(p.lines) or 10, LINES_MAX))
  if #text > ANSWER_MAX then text = text:sub(-ANSWER_MAX) end
  local policy = p.escape or c.settings.escape
  if policy == "raw" or not known(policy) then policy = "safe" end -- an answer is JSON, which holds no raw bytes
  return { text = escape.filter(policy)(text) }
end

local function first_place(c, p)
  if p.tail then return c.history.total - #c.history:tail(math.tointeger(p.tail) or 10) end
  return p.resume and (c.bridged or 0) or c.history:recent(FIRST)
end

local function typing(service, s, c, reader)
  local told
  while true do
    local text = s:read()
    if not text then break end
    local mine, who = false, nil
    if not reader.looks then mine, who = reader:claim(service.world:now()) end
    if mine then
      local ok, why = c:type(text)
      if not ok then reader:tell(why) end
    elseif who and told ~= who then
      told = who
      reader:tell(who .. " has the keyboard; you only look")
    end
  end
  reader:leave()
end

-- Whether the other end of a flow has taken all that was written.
local function taken(s)
  local ok, done = pcall(vchan.drain, s.raw)
  return not ok or done
end

-- A bridge that comes again goes on behind what it took: what it may not have seen is rather said twice than never.
local function showing(s, c, reader, resume)
  local place
  while true do
    if place and taken(s) then c.bridged, place = place, nil end
    local text = reader:next(place and LOOK)
    if text == nil then break end
    if text ~= "" then
      if not s:write(text, WRITE) then return end
      place = resume and reader.place
    end
  end
  if place then
    for _ = 1, 100 do
      if taken(s) then break end
      task.sleep(LOOK)
    end
    if taken(s) then c.bridged = place end
  end
end

local function attach(service, s, message)
  local p = message.params
  local c, there, code = find(service, p)
  if not c then return rpc.send(s, { id = message.id, error = { code = code, message = there } }, WRITE) end
  local policy = p.escape or c.settings.escape
  local reader, err
  if known(policy) then
    reader, err, code = c.readers:add { who = tostring(p.who or "a tool"):sub(1, 64):gsub("[%c\127-\255]", "?"),
      escape = policy, complete = p.complete, lazy = p.lazy,
      place = first_place(c, p) }
  else
    err, code = "there is no escape policy '" .. tostring(policy) .. "'", "XK_EINVAL"
  end
  if not reader then return rpc.send(s, { id = message.id, error = { code = code, message = err } }, WRITE) end
  reader.looks = not (p.write or p.lazy)
  local mine, who = false, c.readers.writer and c.readers.writer.who
  if p.write and there then mine, who = reader:claim(service.world:now(), p.take) end
  rpc.send(s, { id = message.id, result = { name = c.name, title = c:title(), write = mine, writer = who,
    ended = not there or nil } }, WRITE)
  if not there then reader:finish() end
  local hand = task.spawn(typing, service, s, c, reader)
  showing(s, c, reader, p.resume)
  reader:leave()
  hand:cancel()
end

local function events(service, s, message)
  local queue, id = {}, nil
  local function note(event, c)
    if #queue >= EVENTS_MAX then -- it will come again, and is told of all that is there then
      s:close()
      return
    end
    queue[#queue + 1] = { event = event, domid = c.domid, console = c.num, channel = c.channel }
    if id then
      task.wake(id)
      id = nil
    end
  end
  local unsubscribe = service:subscribe(note)
  rpc.send(s, { id = message.id, result = true }, WRITE)
  for _, c in pairs(service.consoles) do note("open", c) end
  local gone = task.spawn(function()
    while s:read() do end -- it has nothing to say; its end is ours
    queue.ended = true
    if id then task.wake(id) end
  end)
  while not queue.ended do
    local list = queue
    queue = {}
    local ok = true
    for _, m in ipairs(list) do ok = ok and rpc.send(s, m, WRITE) end
    if not ok then break end
    if #queue == 0 and not queue.ended and not gone.done then
      id = task.wait_id()
      task.wait(id)
    end
    if gone.done then break end
  end
  unsubscribe()
  gone:cancel()
end

--- Serves one stream until it ends. @param service of xenkit.console.service
function M.serve(service, s)
  while true do
    local message = rpc.receive(s, FIRST_MESSAGE)
    if not message then return end
    message.params = type(message.params) == "table" and message.params or {}
    if message.method == "attach" then return attach(service, s, message) end
    if message.method == "events" then return events(service, s, message) end
    local fn = methods[message.method]
    local reply = { id = message.id }
    if not fn then
      reply.error = { code = "XK_ENOSYS", message = "no method '" .. tostring(message.method) .. "'" }
    else
      local r, err, code = fn(service, message.params)
      if r == nil then reply.error = { code = code, message = err } else reply.result = r end
    end
    if not rpc.send(s, reply, WRITE) then return end
  end
end

return M
