-- What a guest writes, in two pieces (the first byte says where it is cut): a filter does not care for the cut, never
-- passes what its policy drops, and what is written into files holds no control bytes.
local escape = require "xenkit.console.escape"

local FORBIDDEN = { "\27[%]PX^_c]", "\27%[[\48-\63]*[cntpqx]", "\27%[[<=>]", "[\0-\6\11\12\14-\26\28-\31\127]" }

return function(bytes)
  local cut, text = bytes:byte(1) or 0, bytes:sub(2)
  for _, policy in ipairs { "safe", "sgr", "strip" } do
    local whole = escape.filter(policy)(text)
    local f = escape.filter(policy)
    assert(f(text:sub(1, cut)) .. f(text:sub(cut + 1)) == whole, policy .. ": the cut changes it")
    for _, pattern in ipairs(FORBIDDEN) do assert(not whole:find(pattern), policy .. " passes " .. pattern) end
    assert(utf8.len(whole), policy .. ": no UTF-8 any more")
    local rest = policy == "sgr" and whole:gsub("\27%[[%d;:]*m", "") or whole
    assert(policy == "safe" or not rest:find "\27", policy .. " passes more than colours")
  end
  assert(escape.filter "raw"(text) == text)
  local line = escape.clean(text)
  assert(not line:find "[\0-\8\10-\31\127]" and not line:find "\194[\128-\159]" and utf8.len(line))
end
