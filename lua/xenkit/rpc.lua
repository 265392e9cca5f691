--- Requests and answers over a stream: JSON in frames of four length bytes (big endian), at most 1 MiB.
--
-- A request is {id, method, params}; an answer {id, result} or {id, error = {code, message}}. Requests run side by side
-- and are answered in any order. What is not a well-formed frame ends the connection.
-- @module xenkit.rpc
local json = require "xenkit.json"
local task = require "xenkit.task"

local M = {}
local MAX = 1 << 20

--- Writes one message. "XK_EINVAL": it cannot be written as JSON; "XK_EMSGSIZE"; otherwise the stream failed.
function M.send(stream, message, timeout)
  local ok, text = pcall(json.encode, message)
  if not ok then return nil, tostring(text), "XK_EINVAL" end
  if #text > MAX then return nil, "the message is longer than 1 MiB", "XK_EMSGSIZE" end
  return stream:write(string.pack(">s4", text), timeout)
end

--- Reads one message. nil, "end of stream" at the end.
function M.receive(stream, timeout)
  local head, err, code = stream:read_exactly(4, timeout)
  if not head then return nil, err, code end
  local n = string.unpack(">I4", head)
  if n > MAX then return nil, "a frame of " .. n .. " bytes", "XK_EPROTO" end
  local text
  text, err, code = stream:read_exactly(n, timeout)
  if not text then return nil, err, code or "XK_EPROTO" end
  local message, e = json.decode(text)
  if type(message) ~= "table" then return nil, e or "not an object", "XK_EPROTO" end
  return message
end

local function answer(stream, methods, peer, message, lock)
  local reply = { id = message.id }
  local fn = type(message.method) == "string" and methods[message.method]
  if not fn then
    reply.error = { code = "XK_ENOSYS", message = "no method '" .. tostring(message.method) .. "'" }
  else
    local r = table.pack(pcall(fn, message.params or {}, peer))
    if not r[1] then
      if r[2] == task.cancelled then error(r[2], 0) end
      reply.error = { code = "XK_EIO", message = tostring(r[2]) }
    elseif r[2] == nil and r[3] ~= nil then
      reply.error = { code = r[4] or "XK_EIO", message = tostring(r[3]) }
    else
      reply.result = r[2] == nil and json.null or r[2]
    end
  end
  while lock.held do task.sleep(0.001) end
  lock.held = true
  local ok, err, code = M.send(stream, reply, 30)
  if code == "XK_EINVAL" or code == "XK_EMSGSIZE" then -- nothing went out, and the caller must not wait in vain
    ok = M.send(stream, { id = message.id, error = { code = code, message = "the answer: " .. err } }, 30)
  end
  lock.held = false
  return ok
end

--- Serves one connection until it ends. `methods` maps a name to function(params, peer) -> result | nil, message, code.
-- @param opts concurrent = requests at a time (default 64)
function M.serve(stream, methods, opts)
  local limit = opts and opts.concurrent or 64
  local lock, running = {}, 0
  while true do
    local message, err, code = M.receive(stream)
    if not message then
      if code then return nil, err, code end
      return true
    end
    while running >= limit do task.sleep(0.001) end
    running = running + 1
    task.spawn(function()
      local ok, e = pcall(answer, stream, methods, stream.peer, message, lock)
      running = running - 1
      if not ok then error(e, 0) end
    end)
  end
end

local Client = {}
Client.__index = Client
Client.__name = "xenkit.rpc.client"

--- A client over a connected stream. Its reader is a detached task that ends with the stream.
function M.client(stream)
  local c = setmetatable({ stream = stream, calls = {}, last = 0 }, Client)
  task.detach(function()
    while true do
      local message, err, code = M.receive(stream)
      if not message then
        c.broken = { "the connection ended: " .. (err or "end of stream") .. (code and " (" .. code .. ")" or ""),
          "XK_ECLOSED" }
        for _, call in pairs(c.calls) do task.wake(call.wait) end
        return
      end
      local call = c.calls[message.id]
      if call then
        call.reply = message
        task.wake(call.wait)
      end
    end
  end)
  return c
end

--- Calls a method. @return its result, or nil, message, code: the server's, or "XK_ECLOSED" when the connection broke
-- before the answer came, "XK_ETIMEDOUT"; in both cases it may have been carried out.
function Client:call(method, params, timeout)
  if self.broken then return nil, self.broken[1], self.broken[2] end
  self.last = self.last + 1
  local id = self.last
  local call = { wait = task.wait_id() }
  self.calls[id] = call
  local ok, err, code = M.send(self.stream, { id = id, method = method, params = params }, timeout)
  if ok and not call.reply and not self.broken then ok = task.wait(call.wait, timeout or 30) end
  self.calls[id] = nil
  if call.reply then
    local e = call.reply.error
    if e then return nil, e.message, e.code end
    return call.reply.result
  end
  if self.broken then return nil, self.broken[1], self.broken[2] end
  if not ok then return nil, err or (method .. ": no answer in time"), code or "XK_ETIMEDOUT" end
  return nil, "no answer", "XK_EIO"
end

function Client:close() self.stream:close() end
Client.__close = Client.close

return M
