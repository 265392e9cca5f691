--- The opener: opens for a sealed domain, while that runs, what its description grants by kind: files of a folder,
-- pseudo terminals. A domain that needs them when guests come cannot have them all at its start, and a sandbox that let
-- it open would let it open anything, since a filter of system calls sees no paths.
--
-- A request is a packet, as is its answer, which carries the descriptor. It names a need of the domain and a file of
-- that folder, never a path. Hosted, domain 0 is the opener; on Xen a process of its own beside the service.
-- @module xenkit.host.opener
local core_stream = require "xenkit.core.stream"
local host = require "xenkit.core.host"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}

local KEEP_MAX = 100
local PTYS_RATE = 200 -- a second; how many there are is bounded by Linux (kernel.pty.max)

M.kinds = { dir = true, pty = true, hypervisor = true }

-- A plain name of a file: no way out of the folder, no hidden file.
local function good_name(name) return #name <= 240 and name:find "^[%w_][%w_.+%-]*$" ~= nil end

local function open_log(self, path)
  local fd, err, code = host.open(path, "a")
  if not fd then return nil, err, code end
  self.files[path] = host.identity(path)
  return fd
end

local function size_of(path)
  local f <close> = io.open(path, "rb")
  return f and f:seek "end" or 0
end

local verbs = {}

function verbs.open(self, path)
  local fd, err, code = open_log(self, path)
  return fd, err or size_of(path), code
end

--- The file that is there now, if it is another than was opened last.
function verbs.refresh(self, path)
  local id = host.identity(path)
  if id and id == self.files[path] then return "same" end
  return verbs.open(self, path)
end

-- A disk's image: it has to be there. Past the page cache when it is `direct`; then what counts is what requests have
-- to be multiples of.
local function image(path, mode, direct)
  local fd, err, code = host.open(path, direct and mode .. " direct" or mode)
  if not fd then
    local refused = direct and code == "XK_EINVAL"
    return nil, refused and path .. ": it cannot be opened past the page cache there" or err, code
  end
  local locked, _, why = host.lock(fd, true) -- against who changes an image as a whole (`xenkit image`)
  if not locked and why == "XK_EBUSY" then
    core_stream.handle_close(fd)
    return nil, path .. " is being changed by another program", "XK_EBUSY"
  end
  return fd, direct and host.direct_align(fd) or size_of(path)
end

function verbs.image_r(_, path, direct) return image(path, "r", direct) end
function verbs.image(_, path, direct)
  if not host.identity(path) then return nil, path .. " is not there", "XK_ENOENT" end
  return image(path, "rw", direct)
end

-- A file that is only read, such as a key.
function verbs.read(_, path)
  local fd, err, code = host.open(path, "r")
  return fd, fd and size_of(path) or err, code
end

function verbs.rotate(self, path, keep)
  keep = math.min(math.max(math.tointeger(tonumber(keep)) or 1, 0), KEEP_MAX)
  if keep == 0 then os.remove(path) end
  for i = keep, 1, -1 do os.rename(i == 1 and path or path .. "." .. (i - 1), path .. "." .. i) end
  return verbs.open(self, path)
end

local function serve_dir(self, words)
  local need, verb = self.needs["dir:" .. tostring(words[2])], verbs[words[3]]
  if not need or not verb then return nil, "no such folder or verb", "XK_EPERM" end
  if not good_name(words[4] or "") then
    return nil, "'" .. tostring(words[4]) .. "' is no name of a file", "XK_EINVAL"
  end
  if words[3]:match "^image" and need.mode ~= "rw" then
    return nil, "this folder is not for images: needs.dir." .. words[2] .. " says no mode = \"rw\"", "XK_EPERM"
  end
  if (words[3] == "read") ~= (need.mode == "r") then
    return nil, ("this folder is not for that: needs.dir.%s says %s"):format(words[2],
      need.mode and ('mode = "%s"'):format(need.mode) or "no mode"), "XK_EPERM"
  end
  return verb(self, need.value .. "/" .. words[4], words[5])
end

local function serve_pty(self, words)
  if not self.needs["pty:" .. tostring(words[2])] then return nil, "no such need", "XK_EPERM" end
  local now = task.world():now()
  if now - (self.second or 0) > 1 then self.second, self.ptys = now, 0 end
  self.ptys = self.ptys + 1
  if self.ptys > PTYS_RATE then return nil, "too many terminals a second", "XK_EAGAIN" end
  return host.pty()
end

local function answer(self, text)
  local words = {}
  for w in text:gmatch "%S+" do words[#words + 1] = w end
  local serve = words[1] == "dir" and serve_dir or words[1] == "pty" and serve_pty
  local r, more, code
  if serve then r, more, code = serve(self, words) else more, code = "no such request", "XK_ENOSYS" end
  if r == nil then
    return host.pass(self.handle, ("error %s %s"):format(code or "XK_EIO", tostring(more):sub(1, 500)))
  end
  if r == "same" then return host.pass(self.handle, "same") end
  local ok, err, c = host.pass(self.handle, "ok " .. tostring(more), r)
  core_stream.handle_close(r)
  return ok, err, c
end

--- Whether a list of needs takes an opener.
function M.wanted(needs)
  for _, need in ipairs(needs) do if M.kinds[need.kind] then return true end end
  return false
end

--- Makes the folders. @return true, or nil, message, code
function M.prepare(needs)
  for _, need in ipairs(needs) do
    if need.kind == "dir" and need.mode == "r" then
      if not host.identity(need.value) then return nil, need.value .. ": no such folder", "XK_ENOENT" end
    elseif need.kind == "dir" then
      local ok, err, code = host.mkdir(need.value)
      if not ok then return nil, err, code end
    end
  end
  return true
end

--- Serves requests until the domain is gone. @param handle our end of a packet socket; it belongs to this from now on
function M.serve(world, handle, needs)
  local self = { handle = handle, needs = {}, files = {}, ptys = 0 }
  for _, need in ipairs(needs) do self.needs[need.kind .. ":" .. need.name] = need end
  local l <close> = assert(stream.listener(world, handle))
  while true do
    local text, err = l.raw:receive()
    if text then
      if err then core_stream.handle_close(err) end -- a descriptor that nobody asked for
      if not answer(self, text) then return end
    elseif err == "end of stream" then
      return
    else
      local id = task.wait_id()
      if not l.raw:arm(id) then return end
      task.wait(id)
    end
  end
end

return M
