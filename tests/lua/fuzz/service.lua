-- Service files: read without running anything of the outside; parameters and needs follow, or a message does.
local service = require "xenkit.service"

return function(bytes)
  local s, err, code = service.describe(bytes, "s.lua")
  if not s then return assert(type(err) == "string" and code == "XK_EPROTO") end
  assert(type(s.start) == "function")
  local ok, params, complaint = pcall(service.params, s, {})
  if not ok then return assert(type(params) == "string") end -- a declaration that args refuses
  if not params then return assert(type(complaint) == "string") end
  local needs, why = service.needs(s, params, "s.lua")
  if not needs then return assert(type(why) == "string") end
  for _, need in ipairs(needs) do assert(type(need.kind) == "string") end
end
