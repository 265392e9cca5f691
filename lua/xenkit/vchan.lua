--- Vchans with programs that are not xenkit's: whatever speaks libxenvchan, such as upstream's vchan-socket-proxy.
--
--     local l <close> = assert(vchan.listen(ctx, 0, "data/echo"))     -- for domain 0
--     local s <close> = assert(l:accept(30))
--     s:write(s:read())
--
--     local s <close> = assert(vchan.connect(ctx, 7, "/local/domain/7/data/vchan", 10))
--
-- The two meet in the store: the server publishes `PATH/ring-ref` and `PATH/event-channel`, the client waits for them.
-- A path that does not begin with "/" is below this domain's own home, for a client, too. Both ends are streams
-- (`xenkit.stream`) with a few words more; between domains of xenkit `xenkit.flow` is simpler.
--
-- A vchan has no half-close, and libxenvchan cannot tell a peer that was killed from one that closed: both are the end
-- of the stream, to which only its content can say that it came too early. A domain that died is "XK_EGONE", a second
-- or two later; but in a Linux guest nobody tells of another guest's death: there, wait with deadlines. Many
-- programs drop what they find in the ring once the peer has left, so `drain` before closing.
-- @module xenkit.vchan
local core = require "xenkit.core.vchan"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}

local Stream = getmetatable(stream.wrap { close = function() end })
local Vchan = setmetatable({ __name = "xenkit.vchan" }, { __index = Stream })
Vchan.__index = Vchan
Vchan.__gc = Stream.__gc

local Listener = {}
Listener.__index = Listener
Listener.__name = "xenkit.vchan.listener"

local RING, CONNECT = 16384, 10

local function deadline_of(timeout) return timeout and task.world():now() + timeout end

-- Calls fn(raw, arg), which does not wait, until it says something else than "again"; what = "r" or "w".
local function retry(raw, what, timeout, fn, arg)
  local deadline = deadline_of(timeout)
  while true do
    if raw:closed() then return nil, "the vchan was closed", "XK_ECLOSED" end
    local r, err, code = fn(raw, arg)
    if r or code ~= "XK_EAGAIN" then return r, err, code end
    local id = task.wait_id()
    raw:arm(what, id)
    if not task.wait(id, deadline and math.max(0, deadline - task.world():now())) then
      if not raw:closed() then raw:disarm(what) end
      return nil, "the deadline passed", "XK_ETIMEDOUT"
    end
  end
end

-- Nothing tells of the death of a peer's domain on Xen. The core looks each second whether the port is still bound. A
-- process in dom0 may not ask that from within its sandbox, but the store tells dom0 of deaths.
local guarded = setmetatable({}, { __mode = "k" })

local function look(store, list)
  local gone = {}
  for raw, peer in pairs(list) do
    if raw:closed() or core.state(raw) ~= "open" then list[raw] = nil else gone[peer] = true end
  end
  for peer in pairs(gone) do gone[peer] = store:is_introduced(peer) == false end
  for raw, peer in pairs(list) do
    if gone[peer] and not raw:closed() then core.set_gone(raw) end
  end
end

local function guard(ctx, raw, peer)
  if ctx.domid ~= 0 or select(3, core.bound(raw)) ~= "XK_ENOSYS" then return end
  local list = guarded[ctx.store]
  if list then
    list[raw] = peer
    return
  end
  list = setmetatable({ [raw] = peer }, { __mode = "k" })
  guarded[ctx.store] = list
  task.detach(function()
    local w <close> = ctx.store:watch "@releaseDomain"
    while w and w:next() do look(ctx.store, list) end
    guarded[ctx.store] = nil
  end)
end

local function wrap(ctx, raw, peer, listener)
  guard(ctx, raw, peer)
  return setmetatable({ raw = raw, buf = "", peer = peer, listener = listener }, Vchan)
end

-- --- server --------------------------------------------------------------------------------------------------------

-- Both nodes at once, and readable for the client from the first moment on.
local function publish(self)
  local raw, ref, port = core.listen(self.ctx.world, self.peer, self.left, self.right)
  if not raw then return nil, ref, port end
  local perms = { "n" .. self.ctx.domid, "r" .. self.peer }
  local ok, err, code = self.ctx.store:transaction(function(t)
    return t:many {
      { "write", self.path .. "/ring-ref", ref }, { "set_perms", self.path .. "/ring-ref", perms },
      { "write", self.path .. "/event-channel", port }, { "set_perms", self.path .. "/event-channel", perms },
    }
  end)
  if not ok then
    raw:close()
    return nil, err, code
  end
  self.raw, self.ref = raw, tostring(ref)
  return true
end

--- Offers a vchan to domain `peer` at `path`. @param ctx a domain's context
-- @param opts left, right = the least sizes of the rings, in bytes, from the client to us and back (default 16384, at
--   most 1 MiB; 1024 and 2048 cost one page in all); persist = true: after a client the next one is taken, and each has
--   a vchan of its own
-- @return a listener, at once: `accept` waits
function M.listen(ctx, peer, path, opts)
  opts = opts or {}
  local self = setmetatable({ ctx = ctx, peer = peer, path = path, left = opts.left or RING, right = opts.right or RING,
    persist = opts.persist }, Listener)
  local ok, err, code = publish(self)
  if not ok then return nil, path .. ": " .. tostring(err), code end
  return self
end

--- Waits for the client. @param timeout seconds
-- @return its stream; closing it closes the listener, too, unless that is persistent. "XK_ECLOSED": there has been one
function Listener:accept(timeout)
  local raw = self.raw
  if not raw and self.persist and not self.closed then -- the last try to make one failed
    local ok, err, code = publish(self)
    if not ok then return nil, err, code end
    raw = self.raw
  end
  if not raw then return nil, self.path .. ": no more clients are taken", "XK_ECLOSED" end
  local ok, err, code = retry(raw, "r", timeout, core.accept)
  if not ok then return nil, self.path .. ": " .. err, code end
  self.raw = nil
  local st = wrap(self.ctx, raw, self.peer, not self.persist and self or nil)
  if self.persist then publish(self) end -- the next client shall not find this one's vchan
  return st
end

--- Takes the path out of the store, if nobody else has published there since. Streams live on.
function Listener:close()
  if self.closed then return end
  self.closed = true
  if self.raw then self.raw:close() end
  self.raw = nil
  local s = self.ctx.store
  pcall(function() -- a cancelled task cannot wait: what it has sent so far must do
    if s:read(self.path .. "/ring-ref") == self.ref then s:rm(self.path) end
  end)
end
Listener.__close = Listener.close

-- --- client --------------------------------------------------------------------------------------------------------

local function number(text, max)
  local n = text and text:match("^%d+$") and math.tointeger(tonumber(text))
  return n and n > 0 and n <= max and n
end

local function attempt(ctx, server, path)
  local ref = number(ctx.store:read(path .. "/ring-ref"), 0xffffffff)
  local port = ref and number(ctx.store:read(path .. "/event-channel"), 0x7fffffff)
  if not port then return nil, "there is no vchan yet", "XK_ETIMEDOUT" end
  return core.connect(ctx.world, server, ref, port)
end

--- Connects to the vchan that domain `server` publishes at `path`, waiting for it to appear; what is there but does not
-- answer, since its server is gone, is taken as not there. @param timeout seconds, default 10
function M.connect(ctx, server, path, timeout)
  local deadline = deadline_of(timeout or CONNECT)
  local w <close>, err, code = ctx.store:watch(path)
  if not w then return nil, err, code end
  while true do
    local left = deadline - ctx.world:now()
    local event, e, c = w:next(math.max(0, left))
    if not event then
      if c == "XK_ETIMEDOUT" and err then e, c = err, code end -- why it did not go so far says more
      return nil, path .. ": " .. e, c
    end
    local raw
    raw, err, code = attempt(ctx, server, path)
    if raw then return wrap(ctx, raw, server) end
  end
end

-- --- both ----------------------------------------------------------------------------------------------------------

--- Writes a packet: it is seen as a whole or not at all. "XK_EMSGSIZE": the ring is smaller.
function Vchan:send(data, timeout)
  local r, err, code = retry(self.raw, "w", timeout, core.send, data)
  if not r then return nil, err, code end
  return true
end

--- Reads a packet of exactly `n` bytes, which both sides must know. nil, "end of stream" at the end; "XK_EPIPE" when
-- the peer left within a packet.
function Vchan:recv(n, timeout)
  if self.buf ~= "" then return self:read_exactly(n, timeout) end
  return retry(self.raw, "r", timeout, core.recv, n)
end

--- Waits until the peer has read all that was written. "XK_EPIPE", "XK_EGONE": it left before.
function Vchan:drain(timeout) return retry(self.raw, "w", timeout, core.drain) end

--- "open", "closed" (the peer left), or "broken" (it wrote nonsense).
function Vchan:state() return core.state(self.raw) end

function Vchan:close()
  self.raw:close()
  local l = self.listener
  self.listener = nil
  if l then l:close() end
end
Vchan.__close = Vchan.close

return M
