--- What services have in common that serve devices to other domains: finding the folders of a kind in the store,
-- telling a guest why it is refused, following a back end until its device is gone.
--
--     local all = backends.new(ctx, "vbd", "disk", log)
--     all:run(function(path) ... all:refuse(path, "no such image", "XK_ENOENT") ... all:follow(path, back) end)
--
-- @module xenkit.backends
local core = require "xenkit.core.xenbus"
local task = require "xenkit.task"

local M = {}
local Backends = {}
Backends.__index = Backends
Backends.__name = "xenkit.backends"

--- @param kind "vbd" or "vif", as in the store @param label what people call it
-- @param most how many are served at once @param log function(level, text, fields) or nil
function M.new(ctx, kind, label, most, log)
  return setmetatable({ ctx = ctx, kind = kind, label = label, most = most, log = log or function() end, count = 0 },
    Backends)
end

--- Tells the guest in its `error` node. Once: what is written there is an event below the folder, which leads here
-- again.
function Backends:refuse(path, err, code)
  local text = ("%s %s"):format(code, err)
  if self.ctx.store:read(path .. "/error") == text then return end
  self.log("warning", ("%s %s: %s"):format(self.label, path, err), { code = code })
  self.ctx.store:write(path .. "/error", text)
end

-- One that was unplugged for good: in a domain that is not the toolstack's, its folder is ours to take away, which the
-- toolstack waits for.
local function tidy(self, path)
  local store = self.ctx.store
  if self.ctx.domid == 0 or store:read(path .. "/online") ~= "0" then return end
  for _ = 1, 100 do
    local state = store:read(path .. "/state")
    if state == "6" then store:rm(path) end
    if not state or state == "6" then return end
    task.sleep(0.02)
  end
end

--- Returns when the device is gone. @param busy what to tell while the back end says XK_EBUSY
function Backends:follow(path, back, busy)
  local said
  while true do
    local state, err, code = back:state()
    if state == "gone" then return end
    local now = state or code == "XK_EBUSY" and code or nil
    if now == said then
      local id = task.wait_id()
      back:arm(id)
      task.wait(id)
    elseif now == "XK_EBUSY" then
      self:refuse(path, busy, code)
    else
      if said == "XK_EBUSY" then self.ctx.store:rm(path .. "/error") end
      self.log(code == "XK_EPEER" and "warning" or "info",
        ("%s %s: %s"):format(self.label, path, state or code == "XK_EAGAIN" and "closed" or err))
      if not state then tidy(self, path) end
    end
    said = now
  end
end

local function serve_one(self, path, serve)
  if self.count >= self.most then
    return self:refuse(path, ("there are %d of them already"):format(self.most), "XK_ENOSPC")
  end
  self.count = self.count + 1
  local ok, err = pcall(serve, path)
  self.count = self.count - 1
  if not ok then self.log("error", ("%s %s: %s"):format(self.label, path, tostring(err))) end
end

--- For ever: `serve(path)` runs in a task of its own for each folder that is there, and again when something happened
-- there while it ran.
function Backends:run(serve)
  local busy = {}
  local w <close> = assert(core.watch(self.ctx.world, self.ctx.store.raw, "backend/" .. self.kind, 2))
  while true do
    local id = task.wait_id()
    local path = w:next(id)
    if not path then
      task.wait(id)
    elseif busy[path] then
      busy[path] = "again" -- it may have gone and come again meanwhile
    else
      task.spawn(function()
        repeat
          busy[path] = true
          serve_one(self, path, serve)
        until busy[path] ~= "again"
        busy[path] = nil
      end)
    end
  end
end

return M
