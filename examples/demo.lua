-- The world of the demonstration: a web server that scales with its load, a name server, a job queue with workers, and
-- a page that shows it all. Start it from the top of the tree, for the site's files:
--
--     xenkit up examples/demo.lua
--
-- XENKIT_WWW_PORT, XENKIT_DNS_PORT and XENKIT_DASHBOARD_PORT (8090) choose the ports; 0, and what is not set, takes
-- free ones, which `xenkit info` tells. XENKIT_QUEUE_PORT, when set, lets tools reach the queue over HTTP. XENKIT_DATA
-- is the folder that its jobs are kept in.
local function port(name, default) return tonumber(os.getenv("XENKIT_" .. name .. "_PORT")) or default or 0 end

local data = os.getenv("XENKIT_DATA") or ((os.getenv("XDG_STATE_HOME") or (os.getenv("HOME") or "/tmp") ..
  "/.local/state") .. "/xenkit/demo")
local max = 4

-- Who makes the load runs on the same few processors here, so a server that is full gets only a part of one.
local target = 0.3

return {
  name = "demo",
  domains = {
    { name = "log", service = "log", restart = "always" },
    { name = "www", service = "www", restart = "always", params = { port = port("WWW"), root = "site" },
      scale = { min = 1, max = max } },
    { name = "scaler", service = "scaler", restart = "always",
      params = { template = "www", max = max, target = target } },
    { name = "dns", service = "dns", restart = "always", params = { port = port("DNS"), zone = "site/xenkit.zone" } },
    { name = "queue", service = "queue", restart = "always", params = { data = data, port = port("QUEUE") } },
    { name = "worker", service = "worker", restart = "always", replicas = 2, params = { work = "sleep:0.05" } },
    { name = "dashboard", service = "dashboard", restart = "always",
      params = { port = port("DASHBOARD", 8090), page = "scripts/services/dashboard" } },
  },
}
