--- What a service opens while it runs, by its opener (xenkit.host.opener): `ctx.dir.NAME` for `needs.dir`,
-- `ctx.pty.NAME` for `needs.pty`.
--
--     local fd, size = ctx.dir.logs:open("guest-web.log")     -- made if it is not there; what is written is appended
--     local fd, path = ctx.pty.tty:open()                      -- a terminal's master, and where its other end is
-- @module xenkit.domain_open
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}

local TIMEOUT = 10

local Opener = {}
Opener.__index = Opener

-- One request at a time.
local function ask(self, request)
  while self.busy do task.sleep(0.002) end
  if self.gone then return nil, "the opener is gone; this domain opens nothing any more", "XK_EGONE" end
  self.busy = true
  local raw = self.socket.raw
  local n, err, code = raw:send(request)
  local text, fd = nil, nil
  while n do
    text, fd, code = raw:receive()
    if text or code ~= "XK_EAGAIN" then break end
    local id = task.wait_id()
    raw:arm(id)
    if not task.wait(id, TIMEOUT) then
      self.gone = true -- a late answer must not be taken for another's
      fd, code = "the opener does not answer", "XK_ETIMEDOUT"
      break
    end
  end
  self.busy = false
  if not n or not text then
    self.gone = true
    if code == "XK_ETIMEDOUT" then return nil, fd, code end
    return nil, "the opener is gone: " .. tostring(err or fd), "XK_EGONE"
  end
  return text, fd
end

local function request(self, words)
  local text, fd, code = ask(self, words)
  if not text then return nil, fd, code end
  if text == "same" then return false end
  local rest = text:match "^ok (.*)$"
  if rest and fd then return fd, rest end
  local e, message = text:match "^error (%S+) (.*)$"
  return nil, message or "the opener's answer makes no sense", e or "XK_EPROTO"
end

local Dir = {}
Dir.__index = Dir
Dir.__name = "xenkit.dir"

local function file(self, verb, name, keep)
  if name:find "%s" then return nil, "'" .. name .. "' is no name of a file", "XK_EINVAL" end
  local fd, more, code = request(self.opener, ("dir %s %s %s %s"):format(self.name, verb, name, keep or ""))
  return fd, fd and tonumber(more) or more, code
end

--- A file of the folder, for appending. @return descriptor, size
function Dir:open(name) return file(self, "open", name) end

--- Renames NAME to NAME.1, NAME.1 to NAME.2 ... up to `keep`, and begins anew. @return descriptor, size
function Dir:rotate(name, keep) return file(self, "rotate", name, keep) end

--- The file of that name if it is not the one that was opened last. @return descriptor, size; false: it is the same
function Dir:refresh(name) return file(self, "refresh", name) end

--- A file of a folder that is only read (mode = "r"). @return descriptor, size
function Dir:read(name) return file(self, "read", name) end

--- A file of the folder that is there already, to be read and written at any place, or only read; `direct`: past the
-- page cache.
-- @return descriptor, size; of one that is direct what its requests have to be multiples of, in bytes
function Dir:image(name, readonly, direct)
  return file(self, readonly and "image_r" or "image", name, direct and "direct")
end

local Pty = {}
Pty.__index = Pty
Pty.__name = "xenkit.pty"

--- A new pseudo terminal, in raw mode. @return its master's descriptor, the slave's path
function Pty:open() return request(self.opener, "pty " .. self.name) end

--- Fills ctx.dir and ctx.pty as the domain's description says.
function M.enter(ctx, handle)
  local opener = setmetatable({ socket = assert(stream.listener(ctx.world, handle)) }, Opener)
  for _, name in ipairs(ctx.desc.dir or {}) do ctx.dir[name] = setmetatable({ opener = opener, name = name }, Dir) end
  for _, name in ipairs(ctx.desc.pty or {}) do ctx.pty[name] = setmetatable({ opener = opener, name = name }, Pty) end
end

return M
