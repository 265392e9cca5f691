-- Crash reports amid anything: what is found has numbers where numbers belong.
local symbolize = require "xenkit.cli.symbolize"

return function(bytes)
  for _, r in ipairs(symbolize.parse(bytes)) do
    assert(type(r.why) == "string")
    for name, value in pairs(r.registers) do assert(type(name) == "string" and math.type(value)) end
    for _, w in ipairs(r.stack) do assert(math.type(w.at) and math.type(w.value)) end
  end
end
