--- What a stub domain has instead of what domain 0 of a hosted world hands over: parameters on the kernel's command
-- line, entropy and connections through the store.
-- @module xenkit.domain_stub
local M = {}

-- Words of the kernel's command line set parameters: extra = "port=80" in an xl config.
local function take_cmdline(ctx)
  local words, keys = {}, {}
  for word in require("xenkit.core.stub").cmdline():gmatch("%S+") do
    local key = word:match("^([%a_][%w_]*)=")
    if key and key ~= "tsc_hz" then words[#words + 1] = word end
  end
  if #words == 0 then return end
  for _, item in ipairs(ctx.service.params or {}) do
    for _, word in ipairs(words) do
      if word:match("^[^=]+") == item[1] then keys[#keys + 1] = item break end
    end
  end
  local set, err = require("xenkit.args").keyvalues({ name = ctx.name, keys = keys }, words)
  if not set then error("the kernel's command line: " .. tostring(err), 0) end
  for key, value in pairs(set) do ctx.params[key] = value end
end

-- The toolstack may leave entropy in a node that only this domain can read.
function M.take_seed(ctx)
  local hex = ctx.store:read("xenkit/seed")
  local bytes = hex and hex:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end)
  if bytes and #bytes >= 16 then require("xenkit.core.stub").seed(bytes:sub(1, 64)) end
end

local Visitors = {}
Visitors.__index = Visitors
Visitors.__name = "xenkit.visitors"

-- Connections that a gateway in domain 0 accepts and brings here by a flow; the first line says who it is.
function Visitors:accept(timeout)
  while true do
    local s, err, code = self.flow:accept(timeout)
    if not s then return nil, err, code end
    local peer = s.peer == 0 and s:read_line(128, 5)
    if peer then
      s.peer = nil
      return s, peer
    end
    s:close()
  end
end

function Visitors:close() self.flow:close() end
Visitors.__close = Visitors.close

local function listen_for_gateway(ctx)
  local flow = require "xenkit.flow"
  for _, name in ipairs(ctx.desc.tcp or {}) do
    local l, err = flow.listen(ctx, "tcp-" .. name, { private = true })
    if not l then error("tcp." .. name .. ": " .. tostring(err), 0) end
    ctx.tcp[name] = setmetatable({ flow = l }, Visitors)
  end
end

--- Takes parameters, entropy and connections from where a stub domain has them.
function M.enter(ctx)
  take_cmdline(ctx)
  if not ctx.store then return end
  M.take_seed(ctx)
  listen_for_gateway(ctx)
end

return M
