--- The log domain: what it keeps, who sends to it, who reads. Each stream's first frame says which of the two is there.
-- @module xenkit.log.server
local book = require "xenkit.log.book"
local readers = require "xenkit.log.readers"
local rules = require "xenkit.log.rules"
local senders = require "xenkit.log.senders"
local wire = require "xenkit.log.wire"

local M = {}
local Server = {}
Server.__index = Server

local FIRST_MAX, FIRST_TIME, STREAMS = wire.RECORD_MAX + 4096, 30, 32

--- @param ctx the log domain's
-- @param opts rate, burst, limits (of the book)
function M.new(ctx, opts)
  local self = setmetatable({ ctx = ctx, opts = opts, book = book.new(opts.limits), rules = rules.new(), readers = 0,
    refused = 0, skipped = 0, streams = {} }, Server)
  self.senders = senders.new(self)
  ctx.log_hub.own = function(bytes) self.senders:own(bytes) end
  return self
end

function Server.apply_own() end

-- Domain 0 may; of others it has written what they may, and they themselves cannot.
local function has_right(self, domid)
  if domid == 0 then return true end
  local rights = self.ctx.store:read("/local/domain/" .. domid .. "/xenkit/rights")
  return rights ~= nil and (" " .. rights .. " "):find(" log ", 1, true) ~= nil
end

local function serve(self, stream, trusted)
  local next_frame = wire.frames(stream, FIRST_MAX)
  local kind, body = next_frame(FIRST_TIME)
  if kind == "H" and stream.peer then return self.senders:take(stream, next_frame, body) end
  if kind == "Q" then return readers.answer(self, stream, body, trusted or has_right(self, stream.peer)) end
end

--- Serves one stream until it ends. @param trusted domain 0 vouches for it
function Server:serve(stream, trusted)
  local s <close>, who = stream, stream.peer or 0
  local count = self.streams[who] or 0
  if count >= STREAMS then return end
  self.streams[who] = count + 1
  local ok, err = pcall(serve, self, s, trusted)
  count = self.streams[who] - 1
  self.streams[who] = count > 0 and count or nil
  if not ok then error(err, 0) end
end

return M
