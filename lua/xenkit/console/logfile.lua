--- A log file of a console: clean lines, with a time if wanted, rotated by size.
--
-- Bytes go out as they come, so that a prompt without an end stands in the file too; only in a file that several
-- consoles share a line waits for its end. Files belong to a folder (`ctx.dir.NAME`) that can open, rotate and refresh:
-- when somebody has renamed the file, as logrotate does, what is written goes on into the renamed one, and within two
-- seconds into a new one. What cannot be written is counted, and said in the file once that is possible again.
-- @module xenkit.console.logfile
local escape = require "xenkit.console.escape"
local stream = require "xenkit.stream"

local M = {}
local Log = {}
Log.__index = Log
Log.__name = "xenkit.console.logfile"

local PENDING_MAX = 1 << 20
local LINE_MAX = 4096
local REFRESH = 2 -- seconds

--- @param folder with open(name), rotate(name, keep), refresh(name), each giving a descriptor and a size
-- @param opts world; size = bytes at which it rotates, 0: never; keep = how many old ones; stamps = "line" or "none"
function M.new(folder, name, opts)
  return setmetatable({ folder = folder, name = name, opts = opts, pending = {}, waiting = 0, written = 0, lost = 0,
    lost_total = 0, rotations = 0, looked = -math.huge, partial = {} }, Log)
end

local function stamp(self)
  return os.date("!%Y-%m-%dT%H:%M:%S", math.floor(self.opts.world:wallclock())) .. "Z "
end

local function put(self, text)
  if self.waiting + #text > PENDING_MAX then
    self.lost = self.lost + #text
    return
  end
  self.pending[#self.pending + 1] = text
  self.waiting = self.waiting + #text
end

-- The next piece of `text` to be written: a line without its end, whether it has one, what follows. A carriage return
-- before the end of a line is dropped, and one at the end of the text waits for what follows.
local function next_piece(held, text)
  local at = text:find("\n", 1, true)
  if at then return (held .. text:sub(1, at - 1)):gsub("\r+$", ""), true, text:sub(at + 1) end
  return held .. text, false, ""
end

--- Takes what console `who` wrote. @param prefix before each line; then lines are whole
function Log:feed(who, text, prefix)
  local p = self.partial[who] or { held = "", begun = false }
  self.partial[who] = p
  while text ~= "" do
    local line, ended
    line, ended, text = next_piece(p.held, text)
    p.held = ""
    if not ended and prefix and #line < LINE_MAX then
      p.held = line
      return
    end
    if not ended then -- a character or a line end may be cut here
      local keep = line:match("[\192-\255][\128-\191]*$") or line:match "\r+$" or ""
      if #keep > 8 then keep = "" end
      p.held = keep
      line = line:sub(1, #line - #keep)
    end
    if not p.begun and (line ~= "" or ended) then
      put(self, (self.opts.stamps == "line" and stamp(self) or "") .. (prefix or ""))
      p.begun = true
    end
    if line ~= "" then put(self, escape.clean(line)) end
    if ended or (prefix and line ~= "") then
      put(self, "\n")
      p.begun = false
    end
  end
end

--- A line of the service's own, on a line by itself.
function Log:mark(who, text, prefix)
  local p = self.partial[who]
  if p and p.begun then
    self:feed(who, "\n", prefix)
  end
  local before = (self.opts.stamps == "line" and stamp(self) or "") .. (prefix or "")
  put(self, before .. "[xenkit] " .. escape.clean(text) .. "\n")
end

--- Console `who` is gone: what it began is ended.
function Log:done(who, prefix)
  local p = self.partial[who]
  if p and (p.begun or p.held ~= "") then self:feed(who, "\n", prefix) end
  self.partial[who] = nil
end

local function adopt(self, fd, size)
  if self.out then self.out:close() end
  self.out = assert(stream.from_handle(self.opts.world, fd))
  self.size = size or 0
end

-- @return true when there is a file to write to
local function ready(self)
  local now = self.opts.world:now()
  local verb = not self.out and "open" or self.opts.size > 0 and self.size >= self.opts.size and "rotate" or
    now - self.looked > REFRESH and "refresh"
  if not verb then return true end
  if verb == "open" and now - self.looked < REFRESH then return false end -- it failed a moment ago
  self.looked = now
  local fd, size, code = self.folder[verb](self.folder, self.name, self.opts.keep)
  if fd then
    adopt(self, fd, size)
    if verb == "rotate" then self.rotations = self.rotations + 1 end
  elseif fd == nil then
    self.problem = tostring(size)
    self.code = code
    if verb == "rotate" then self.size = 0 end -- not at every line
  end
  return self.out ~= nil
end

--- Writes what has come. Called now and then, and at the end. @return true; nil, message when it was lost
function Log:flush()
  if #self.pending == 0 and self.lost == 0 then return true end
  if not ready(self) then return nil, self.problem, self.code end
  local text = table.concat(self.pending)
  if self.lost > 0 then text = ("[xenkit] %d bytes were lost here\n"):format(self.lost) .. text end
  self.pending, self.waiting = {}, 0
  local ok, err, code = self.out:write(text)
  if not ok then
    self.lost = self.lost + #text
    self.problem = tostring(err)
    return nil, err, code
  end
  self.lost_total = self.lost_total + self.lost
  self.lost = 0
  self.written = self.written + #text
  self.size = self.size + #text
  return true
end

function Log:close()
  self:flush()
  if self.out then self.out:close() end
  self.out = nil
end

return M
