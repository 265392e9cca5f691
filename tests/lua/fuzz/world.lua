-- World files: a table that keeps what the toolstack relies on, or a message that names the file.
local world = require "xenkit.host.world"

return function(bytes)
  local w, err, code = world.parse(bytes, "dir/w.lua")
  if not w then
    assert(type(err) == "string" and code == "XK_EPROTO")
    return
  end
  assert(w.name:match("^[%w_%-]+$"))
  local seen = {}
  for _, d in ipairs(w.domains) do
    assert(d.name:match("^[%a_][%w_%-]*$") and #d.name <= 48 and not seen[d.name])
    assert((d.service == nil) ~= (d.script == nil))
    seen[d.name] = true
  end
end
