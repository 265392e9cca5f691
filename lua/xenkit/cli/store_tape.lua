--- `xenkit store record` and `replay`: what one domain asks of the store, and the same again elsewhere.
--
-- A tape is a file: "XKTAPE1\n", then entries of packet length, direction (1: the store's), microseconds in 64 bits,
-- and the packet (xs_wire.h), numbers little endian.
-- @module xenkit.cli.store_tape
local core = require "xenkit.core.store"
local task = require "xenkit.task"

local M = {}

local MAGIC = "XKTAPE1\n"
local NAMES = {}
for name, number in pairs(core) do if math.type(number) == "integer" then NAMES[number] = name end end

--- Entries of a tape's bytes. @return list of {sent, us, type, req, tx, body}; or nil, message
function M.parse(bytes)
  if bytes:sub(1, #MAGIC) ~= MAGIC then return nil, "this is no tape of a store" end
  local list, at = {}, #MAGIC + 1
  while at <= #bytes do
    if #bytes - at < 31 then return nil, "the tape ends within an entry, at byte " .. at - 1 end
    local len, sent, us, type, req, tx, body = ("<I4I4I8I4I4I4I4"):unpack(bytes, at)
    if len ~= body + 16 or body > 4096 or at + 15 + len > #bytes then
      return nil, "the tape makes no sense at byte " .. at - 1
    end
    list[#list + 1] = { sent = sent == 1, us = us, type = type, req = req, tx = tx,
      body = bytes:sub(at + 32, at + 31 + body) }
    at = at + 16 + len
  end
  return list
end

local function shown(body) return (body:sub(1, 60):gsub("%z", "|"):gsub("[%c\127-\255]", ".")) end

--- An entry as a line.
function M.line(e)
  return ("%10.6f %s %-18s %s"):format(e.us / 1e6, e.sent and "<" or ">", NAMES[e.type] or e.type, shown(e.body))
end

--- Records `domid` for `seconds`, or until interrupted. @return entries written, or nil, message
function M.record(s, domid, path, seconds)
  local f, err = io.open(path, "wb")
  if not f then return nil, err end
  f:write(MAGIC)
  local ok, e = s:control("record", tostring(domid))
  if not ok then return nil, "this store cannot record: " .. e end
  local finish, total = task.world():now() + seconds, 0
  while true do
    local bytes
    bytes, e = s:request("CONTROL", "record\0take\0")
    if not bytes then return nil, e end
    f:write(bytes)
    total = total + #bytes
    if bytes == "" then
      if task.world():now() >= finish then break end
      task.sleep(0.05)
    end
  end
  local lost = s:control("record", "off")
  f:close()
  return total, tonumber(lost) or 0
end

-- What differs from one store to another without meaning anything.
local FREE = { TRANSACTION_START = true, DIRECTORY_PART = true, CONTROL = true }

local function relative(path, domid)
  if path == "" or path:find("^[/@]") then return path end
  return ("/local/domain/%d/%s"):format(domid, path)
end

local PATHS = { READ = true, WRITE = true, MKDIR = true, RM = true, DIRECTORY = true, DIRECTORY_PART = true,
  GET_PERMS = true, SET_PERMS = true, WATCH = true, UNWATCH = true }

local function key(e) return e.req .. "/" .. e.tx end

-- The answers of a tape by request and transaction; a client may use a number again, so each is a queue.
local function answers_of(list)
  local answers = {}
  for _, e in ipairs(list) do
    if e.sent and NAMES[e.type] ~= "WATCH_EVENT" then
      local queue = answers[key(e)] or {}
      answers[key(e)] = queue
      queue[#queue + 1] = e
    end
  end
  return answers
end

local function number(body) return math.tointeger(tonumber((body:gsub("%z", "")))) end

-- Asks what the entry asked. @return what it is now, and what it was: bodies, or names of errors
local function ask(s, e, want, domid, tx)
  local name, body = NAMES[e.type], e.body
  local refused = want and NAMES[want.type] == "ERROR"
  if PATHS[name] then body = relative(body:match("^[^%z]*"), domid) .. (body:match("%z.*$") or "") end
  s.tx = e.tx == 0 and 0 or tx[e.tx] or e.tx
  local got, _, code = s:request(name, body)
  s.tx = 0
  if name == "TRANSACTION_START" and got and want and not refused then tx[number(want.body)] = number(got) end
  if not want or FREE[name] and got and not refused then return end
  return got or code, refused and "XK_" .. want.body:gsub("%z", "") or want.body
end

--- Sends the requests of a tape again, as domain 0, and compares the answers.
-- @param domid whose home relative paths mean
-- @param out function(text) for each difference
-- @return requests, differences
function M.replay(s, list, domid, out)
  local answers, tx, asked, different = answers_of(list), {}, 0, 0
  for _, e in ipairs(list) do
    if not e.sent and NAMES[e.type] and NAMES[e.type] ~= "CONTROL" then
      local queue = answers[key(e)]
      local is, was = ask(s, e, queue and table.remove(queue, 1), domid, tx)
      asked = asked + 1
      if is ~= was then
        different = different + 1
        out(("%s\n  was  %s\n  is   %s"):format(M.line(e), shown(was), shown(is)))
      end
    end
  end
  return asked, different
end

return M
