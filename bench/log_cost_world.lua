-- The world of log_cost.lua: start it from the top of the tree.
return { name = "log-cost", domains = {
  { name = "log", service = "log", params = { rate = 0 } },
  { name = "cost", script = "log_cost.lua", restart = "never" },
} }
