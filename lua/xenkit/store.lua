--- xenstore from Lua: every operation, transactions that retry, watches.
--
--     local store = require "xenkit.store"
--     local s = store.open(world)
--     s:write("data/greeting", "hello")
--     print(s:read "data/greeting")
--     for path in s:watch("data"):events() do print("changed", path) end
--
-- Paths are absolute, or relative to this domain's home. Calls wait in the running task. A failure gives nil, message,
-- "XK_ENAME"; "XK_ENOENT" is the usual one.
-- @module xenkit.store
local core = require "xenkit.core.store"
local core_stream = require "xenkit.core.stream"
local task = require "xenkit.task"

local M = {}
local Store = {}
Store.__index = Store
Store.__name = "xenkit.store"

local TIMEOUT = 30

--- A client over the domain's own ring page, over what the system below offers instead (Linux on Xen), or over a core
-- stream to a store's socket.
function M.open(world, stream)
  local handle = not stream and world:store_handle()
  if handle then stream = assert(core_stream.from_handle(world, handle)) end
  local raw, err, code = core.open(world, stream)
  if not raw then return nil, err, code end
  return setmetatable({ raw = raw, tx = 0, timeout = TIMEOUT, watches = setmetatable({}, { __mode = "k" }),
    devices = setmetatable({}, { __mode = "k" }) }, Store)
end

--- One request as it stands on the wire: operation name, payload. @return the answer's payload
function Store:request(op, payload)
  local id = task.wait_id()
  local r, err, code = self.raw:start(id, core[op], self.tx, payload)
  if not r then return nil, err, code end
  if not task.wait(id, self.timeout) then return nil, "the store does not answer", "XK_ETIMEDOUT" end
  return r:result()
end

local function at(path, r, err, code)
  if r then return r end
  return nil, path .. ": " .. err, code
end

--- The value of a node.
function Store:read(path) return at(path, self:request("READ", path .. "\0")) end

--- Sets a node's value; creates it and its parents.
function Store:write(path, value)
  local r, err, code = at(path, self:request("WRITE", path .. "\0" .. tostring(value)))
  if r then return true end
  return nil, err, code
end

local function ok(path, r, err, code)
  if r then return true end
  return nil, path .. ": " .. err, code
end

--- Creates a node with an empty value, unless it exists.
function Store:mkdir(path) return ok(path, self:request("MKDIR", path .. "\0")) end

--- Removes a node and all below it.
function Store:rm(path) return ok(path, self:request("RM", path .. "\0")) end

local function split(payload)
  local list = {}
  for s in payload:gmatch("([^%z]*)%z") do list[#list + 1] = s end
  return list
end

local function list_in_parts(self, path)
  while true do
    local parts, generation, offset = {}, nil, 0
    while true do
      local r, err, code = self:request("DIRECTORY_PART", path .. "\0" .. offset .. "\0")
      if not r then return at(path, nil, err, code) end
      local gen, rest = r:match("^(%d+)%z(.*)$")
      if generation and gen ~= generation then break end -- it changed meanwhile: begin again
      generation = gen
      if rest:sub(-2) == "\0\0" or rest == "\0" or rest == "" then
        parts[#parts + 1] = rest:sub(1, -2)
        return split(table.concat(parts))
      end
      parts[#parts + 1] = rest
      offset = offset + #rest
    end
  end
end

--- The names of a node's children, of any number.
function Store:list(path)
  local r, err, code = self:request("DIRECTORY", path .. "\0")
  if code == "XK_E2BIG" then return list_in_parts(self, path) end
  if not r then return at(path, nil, err, code) end
  return split(r)
end

--- The permissions of a node: a list as xenstore-ls shows them, "n0", "r3".
function Store:get_perms(path)
  local r, err, code = at(path, self:request("GET_PERMS", path .. "\0"))
  if not r then return nil, err, code end
  return split(r)
end

function Store:set_perms(path, perms)
  return ok(path, self:request("SET_PERMS", path .. "\0" .. table.concat(perms, "\0") .. "\0"))
end

function Store:domain_path(domid)
  local r, err, code = self:request("GET_DOMAIN_PATH", domid .. "\0")
  if not r then return nil, err, code end
  return (r:gsub("%z$", ""))
end

function Store:introduce(domid, gfn, port)
  return ok("introduce", self:request("INTRODUCE", domid .. "\0" .. gfn .. "\0" .. port .. "\0"))
end

function Store:release(domid) return ok("release", self:request("RELEASE", domid .. "\0")) end

function Store:set_target(domid, target)
  return ok("set target", self:request("SET_TARGET", domid .. "\0" .. target .. "\0"))
end

function Store:is_introduced(domid)
  local r, err, code = self:request("IS_DOMAIN_INTRODUCED", domid .. "\0")
  if not r then return nil, err, code end
  return r:sub(1, 1) == "T"
end

function Store:resume(domid) return ok("resume", self:request("RESUME", domid .. "\0")) end

--- Drops all watches and transactions of this domain.
function Store:reset_watches()
  for w in pairs(self.watches) do w:close() end
  return ok("reset watches", self:request("RESET_WATCHES", "\0"))
end

local function text(r, err, code)
  if not r then return nil, err, code end
  return (r:gsub("%z$", ""))
end

--- The features that a domain is offered, as a number of bits (xs_wire.h); of this one without `domid`.
function Store:get_feature(domid) return text(self:request("GET_FEATURE", domid and domid .. "\0" or "")) end
function Store:set_feature(domid, bits)
  return ok("features", self:request("SET_FEATURE", domid .. "\0" .. bits .. "\0"))
end

--- A quota by name, the standard one or a domain's; without a name the names of all, with blanks between.
function Store:get_quota(name, domid)
  return text(self:request("GET_QUOTA", (domid and domid .. "\0" or "") .. (name and name .. "\0" or "")))
end

function Store:set_quota(name, value, domid)
  return ok("quota", self:request("SET_QUOTA", (domid and domid .. "\0" or "") .. name .. "\0" .. value .. "\0"))
end

--- A control command of the server, for example control("help"). @return its text
function Store:control(...)
  local r, err, code = self:request("CONTROL", table.concat({ ... }, "\0") .. "\0")
  if not r then return nil, err, code end
  return (r:gsub("%z$", ""))
end

--- Runs `fn(t)` in a transaction, again when it conflicts with somebody else's. `t` has the methods of a store. When
-- `fn` raises or returns nil, the transaction is abandoned.
-- @return what `fn` returned
function Store:transaction(fn)
  for _ = 1, 100 do
    local id, err, code = self:request("TRANSACTION_START", "\0")
    if not id then return nil, err, code end
    local number = math.tointeger(tonumber((id:gsub("%z", ""))))
    local t = setmetatable({ raw = self.raw, timeout = self.timeout, tx = number, watches = self.watches }, Store)
    local results = table.pack(pcall(fn, t))
    if not results[1] or results[2] == nil then
      t:request("TRANSACTION_END", "F\0")
      if not results[1] then error(results[2], 0) end
      return table.unpack(results, 2, results.n)
    end
    local done, e, c = t:request("TRANSACTION_END", "T\0")
    if done then return table.unpack(results, 2, results.n) end
    if c ~= "XK_EAGAIN" then return nil, e, c end
  end
  return nil, "the transaction conflicted a hundred times", "XK_EAGAIN"
end

--- Many changes side by side: all requests go out at once, so a hundred cost little more than one. `list` holds
-- {"write", path, value}, {"rm", path}, {"mkdir", path}, {"set_perms", path, perms}; they are carried out in order.
-- What fails does not stop the rest; a path that is not there to be removed is no failure.
-- @return true, or nil, message, code of the first failure
function Store:many(list)
  local calls = {}
  for i, c in ipairs(list) do
    local op, payload = c[1]:upper(), c[2] .. "\0"
    if op == "WRITE" then payload = payload .. tostring(c[3]) end
    if op == "SET_PERMS" then payload = payload .. table.concat(c[3], "\0") .. "\0" end
    local id = task.wait_id()
    local r, err, code = self.raw:start(id, core[op], self.tx, payload)
    if not r then return nil, c[2] .. ": " .. err, code end
    calls[i] = { id = id, request = r }
  end
  local failed
  for i, call in ipairs(calls) do
    local r, err, code = call.request:result()
    if not r and code == "XK_EAGAIN" then
      if not task.wait(call.id, self.timeout) then return nil, "the store does not answer", "XK_ETIMEDOUT" end
      r, err, code = call.request:result()
    end
    if not r and not failed and not (list[i][1] == "rm" and code == "XK_ENOENT") then
      failed = { list[i][2] .. ": " .. err, code }
    end
  end
  if failed then return nil, failed[1], failed[2] end
  return true
end

local Watch = {}
Watch.__index = Watch
Watch.__name = "xenkit.watch"

local function register(self, path, value)
  local id = task.wait_id()
  local raw, r, code = self.raw:watch(id, path, value)
  if not raw then return nil, path .. ": " .. r, code end
  if not task.wait(id, self.timeout) then return nil, "the store does not answer", "XK_ETIMEDOUT" end
  local answer, err, c = r:result()
  if not answer then
    raw:close()
    return nil, path .. ": " .. err, c
  end
  return raw
end

--- Watches a path and all below it. It fires once at once. After a suspend it is registered anew, and fires.
-- @param opts value = true: events carry the node's value and generation, where the server tells them
function Store:watch(path, opts)
  local value = opts and opts.value or false
  local raw, err, code = register(self, path, value)
  if not raw then return nil, err, code end
  local w = setmetatable({ raw = raw, path = path, value = value, store = self }, Watch)
  self.watches[w] = true
  return w
end

--- The path of the next event. With values: also value and generation, or nothing more when the node is to be read: it
-- is gone, may not be read, or the server is another's.
-- @return path, or nil, message, and "XK_ETIMEDOUT", "XK_ECLOSED", or what ended the connection ("XK_EGONE")
function Watch:next(timeout)
  while true do
    local id, raw = task.wait_id(), self.raw
    if not raw then return nil, "the watch is closed", "XK_ECLOSED" end
    local path, value, generation = raw:next(id)
    if path then return path, value, generation end
    if generation and not self.store.suspended then return nil, value, generation end
    if not generation and not task.wait(id, timeout) then return nil, "the deadline passed", "XK_ETIMEDOUT" end
    while self.store.suspended do task.sleep(0.01) end
    if self.raw == raw then
      path, value, generation = raw:next(task.wait_id())
      if path then return path, value, generation end
      if generation then return nil, value, generation end
    end
  end
end

--- An iterator over events, for ever.
function Watch:events() return function() return self:next() end end

function Watch:close()
  self.store.watches[self] = nil
  if self.raw then self.raw:close() end
  self.raw = nil
end
Watch.__close = Watch.close

--- Waits until `fn(store)` gives a value that is not nil and not false; looks whenever something at `path` changes.
function Store:wait_for(path, fn, timeout)
  local w <close>, err, code = self:watch(path)
  if not w then return nil, err, code end
  local world = task.world()
  local deadline = timeout and world:now() + timeout
  while true do
    local left = deadline and deadline - world:now()
    if left and left <= 0 then return nil, path .. ": the deadline passed", "XK_ETIMEDOUT" end
    local p, e, c = w:next(left)
    if not p then return nil, e, c end
    local v = fn(self)
    if v then return v end
  end
end

--- A device of xenkit.core that uses this client, and goes on with the next one after a suspend: it has `suspend` and
-- `resume`. Held weakly.
function Store:keep(device)
  self.devices[device] = true
  return device
end

--- Before a suspend: nothing of the old connection is used any more. `reopen` goes on.
function Store:suspend()
  self.suspended = true
  for device in pairs(self.devices) do pcall(device.suspend, device) end -- one that is closed says so
  self.raw:close()
end

--- Opens the client anew after a suspend, for all who hold it. What was under way has failed; watches are registered
-- anew, and fire once, as nobody knows what they missed.
function Store:reopen(world)
  local raw, err, code = core.open(world)
  if not raw then return nil, err, code end
  self.raw = raw
  self:request("RESET_WATCHES", "\0") -- a suspend that was cancelled left the old ones with the store
  for w in pairs(self.watches) do
    local old = w.raw
    w.raw, err, code = register(self, w.path, w.value)
    if old then old:close() end -- whoever waits for it wakes, and goes on with the new one
    if not w.raw then return nil, err, code end
  end
  self.suspended = nil
  for device in pairs(self.devices) do pcall(device.resume, device, raw) end
  return true
end

--- Whether a client of this store watches `path` now.
function Store:is_watched(path)
  for w in pairs(self.watches) do if w.path == path then return true end end
  return false
end

function Store:close() self.raw:close() end
Store.__close = Store.close

return M
