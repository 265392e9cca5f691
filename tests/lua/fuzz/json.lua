-- JSON: what decodes encodes to a text that decodes to the same; what does not says where, within the text.
local json = require "xenkit.json"

return function(bytes)
  local value, err, code = json.decode(bytes)
  if value == nil then
    assert(code == "XK_EPROTO", code)
    local line, column = err:match("^json: line (%d+), column (%d+): .")
    assert(tonumber(line) >= 1 and tonumber(column) >= 1, err)
    local _, newlines = bytes:gsub("\n", "")
    assert(tonumber(line) <= newlines + 1 and tonumber(column) <= #bytes + 1, err)
    return
  end
  local once = json.encode(value, { sorted = true })
  local twice = json.encode(json.decode(once), { sorted = true })
  assert(once == twice, "round trip: " .. once .. " / " .. twice)
end
