-- ELF files: refused with a message, or read so that every question about an address has an answer.
local elf = require "xenkit.host.elf"

return function(bytes)
  local e, err, code = elf.parse(bytes, "x")
  if not e then return assert(type(err) == "string" and code == "XK_EPROTO") end
  for _, address in ipairs { 0, 0x1000, 0x1234, 0x401000, math.maxinteger, -1 } do
    local name, into = e:find(address)
    assert(name == nil or (type(name) == "string" and into >= 0))
    assert(type(e:is_code(address)) == "boolean")
    assert(type(e:after_call(address)) == "boolean")
  end
end
