-- Reads the log from within a domain, for tests/e2e/log.sh: prints how much came, or why nothing does. slow=N sleeps
-- after each record. Before that it asks once for what is kept, and sets a level.
local logs = require "xenkit.logs"
local task = require "xenkit.task"

local function once(ctx, query)
  local log <close>, err = logs.open(ctx, query)
  if not log then return print("reader: " .. err) end
  local count = 0
  while true do
    local r, e, code = log:next(10)
    if not r and e then return print("reader: refused: " .. e .. " " .. code) end
    if not r then break end
    count = count + 1
  end
  print("reader: once=" .. count)
  local done, e = logs.set_level(ctx, "info", "nobody")
  print("reader: set_level " .. (done and "done" or e))
  return true
end

local function follow(ctx, query)
  local log <close> = assert(logs.open(ctx, query))
  local seen, skipped = 0, 0
  for r in log:records() do
    if r.skipped then skipped = skipped + r.skipped else seen = seen + 1 end
    if r.text == "tell" then print(("reader: seen=%d skipped=%d"):format(seen, skipped)) end
    if ctx.params.slow > 0 then task.sleep(ctx.params.slow) end
  end
end

return {
  summary = "Reads the log.",
  params = { { "slow", type = "number", default = 0, help = "seconds to sleep after each record" },
    { "domain", default = "", help = "whose" } },
  start = function(ctx)
    task.sleep(0.2)
    local domain = ctx.params.domain ~= "" and ctx.params.domain or nil
    if once(ctx, { domain = domain, grep = "word", tail = 1 }) then follow(ctx, { domain = domain, follow = true }) end
  end,
}
