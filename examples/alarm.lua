-- Watches the log of its world: prints every error, and says each minute how many there were of whom.
--   return { domains = {
--     { name = "log", service = "log" },
--     { name = "alarm", script = "alarm.lua", rights = { "log" } },
--   } }
local logs = require "xenkit.logs"
local task = require "xenkit.task"

return {
  summary = "Prints all domains' errors.",
  params = { { "level", default = "error", help = "from which level on" } },
  needs = { rights = { "log" } },
  start = function(ctx)
    local count = {}
    task.spawn(function()
      while true do
        task.sleep(60)
        for name, n in pairs(count) do print(("%s: %d in the last minute"):format(name, n)) end
        count = {}
      end
    end)
    while true do
      local log <close>, err = logs.open(ctx, { level = ctx.params.level, tail = 0, follow = true })
      local r = log and log:next()
      while r do
        if r.domid ~= ctx.domid then -- what it says itself is no news
          count[r.domain] = (count[r.domain] or 0) + 1
          print(("%s: %s%s"):format(r.domain, r.text, r.last_words and " (its last words)" or ""))
        end
        r, err = log:next()
      end
      print("alarm: no log just now: " .. tostring(err or "it ended"))
      task.sleep(1)
    end
  end,
}
