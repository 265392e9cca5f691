-- The store: serves xenstore to every domain over its ring page, and to tools over a unix socket. It has three homes:
--   hosted           xenkit up starts it as the first domain of a world
--   a dom0 daemon    xenkit run --on xen scripts/services/store.lua socket=/var/run/xenstored/socket
--   a stub domain    xenkit build scripts/services/store.lua
--                    init-xenstore-domain --kernel store/xenkit-kernel --ramdisk store/store.img --memory 8
-- See docs/store.md.
local core = require "xenkit.core.store"
local store_policy = require "xenkit.store_policy"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local function must(ok, err, what)
  if ok == nil or ok == false and err then error(what .. ": " .. tostring(err), 0) end
  return ok
end

-- What a predecessor saved, with the descriptors of its sockets: handed as "state" and "sock:NUMBER".
local function take_over(ctx, service)
  local state, sockets, count = ctx.handle.state, {}, 0
  if not state then return end
  for name, fd in pairs(ctx.handle) do
    local number = name:match("^sock:(%d+)$")
    if number then
      sockets[math.tointeger(tonumber(number))], count = fd, count + 1
      ctx.handle[name] = nil
    end
  end
  ctx.handle.state = nil
  must(service:load(state, sockets), nil, "the state of the store before this one")
  print(("store: goes on with the state of its predecessor, %d sockets"):format(count))
end

local function keep_journal(ctx, service)
  local a, b = ctx.file.journal_a, ctx.file.journal_b
  if not a or not b then return end
  local old, err = service:journal(a, b)
  if old == nil then error("journal " .. ctx.params.journal .. ": " .. tostring(err), 0) end
  if old then print("store: goes on with what its journal has") end
end

-- Domain 0 is the one domain that nobody introduces.
local function connect_domain_0(ctx, service)
  local port = ctx.desc.dom0_port or ctx.world:store_port()
  if not port or service:connected(0) then return end -- without Xen and a world: the socket only
  local ok, err = service:introduce(0, port)
  if not ok then error("cannot connect domain 0: " .. tostring(err), 0) end
end

-- Whoever started this process may let another one take its place: it says "save", borrows the sockets, says "leave".
local function obey_keeper(ctx, service, main)
  local fd, out = ctx.handle.keeper, ctx.handle["state-out"]
  if not fd then return end
  ctx.handle.keeper, ctx.handle["state-out"] = nil, nil
  local keeper = assert(stream.from_handle(ctx.world, fd))
  function ctx.ask_update() keeper:write("update\n", 1) end
  task.spawn(function()
    keeper:write("ready\n", 1)
    while true do
      local line = keeper:read_line(100)
      if not line or line == "leave" then break end
      if line == "save" then
        local ok, err = service:save(out)
        keeper:write(ok and "saved\n" or "failed: " .. tostring(err) .. "\n", 1)
      end
    end
    main:cancel()
  end)
end

-- Lua hooks over the engine: see xenkit.store_policy. What the store had before counts more than the parameter.
local function take_policy(ctx, service)
  local wait
  local m = store_policy.manager(service, function(text) print("store: " .. text) end, function()
    if wait then task.wake(wait) end
  end)
  local ok, err = m:begin(ctx.text.policy, ctx.text_path.policy)
  if not ok then error("policy: " .. tostring(err), 0) end
  m:settle()
  return task.spawn(function()
    while true do
      wait = task.wait_id()
      task.wait(wait)
      m:settle()
    end
  end)
end

local function watch_problems(ctx, service)
  while true do
    local id = task.wait_id()
    local line = service:problem(id)
    if line == "live update" and ctx.ask_update then ctx.ask_update()
    elseif line then print("store: " .. line)
    else task.wait(id) end
  end
end

return {
  summary = "Serves xenstore to domains over rings, and to tools over a unix socket.",
  params = {
    { "socket", type = "path", default = "xenstored.sock", help = "unix socket for tools (XENSTORED_PATH)" },
    { "policy", type = "path", default = "", help = "a Lua file with hooks; see `xenkit store policy`" },
    { "journal", type = "path", default = "", help = "files NAME.a and NAME.b keep what is in it, over a " ..
      "crash, too; empty: none" },
  },
  examples = {
    { "xenkit run scripts/services/store.lua socket=/tmp/xs", "alone; XENSTORED_PATH=/tmp/xs xenstore-ls" },
    { "xenkit run --on xen --restart scripts/services/store.lua socket=/var/run/xenstored/socket journal=/run/store",
      "in dom0, in place of xenstored" },
  },
  store = false, -- it is the store: no client of its own
  needs = {
    unix = { tools = { "$socket", optional = true } },
    file = { journal_a = { "$journal.a", when = "journal", optional = true },
      journal_b = { "$journal.b", when = "journal", optional = true } },
    text = { policy = { "$policy", when = "policy", optional = true } },
    rights = { "domains" },
  },
  start = function(ctx)
    local service = assert(core.service(ctx.world))
    take_over(ctx, service)
    keep_journal(ctx, service)
    local settler = take_policy(ctx, service)
    connect_domain_0(ctx, service)
    if ctx.unix.tools then assert(service:listen(ctx.unix.tools.raw:handle())) end
    local problems = task.spawn(watch_problems, ctx, service)
    obey_keeper(ctx, service, problems)
    pcall(problems.join, problems)
    settler:cancel()
    return 0 -- all that it holds goes with the process
  end,
}
