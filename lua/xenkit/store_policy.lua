--- A policy for the store: Lua functions that the engine asks while it serves, and that can be replaced while it runs.
--
--     return {
--       -- who may do what: for these operations, called with the number of the domain, the operation, its first string
--       -- (mostly the path) and the rest. false refuses, with an error's name if one follows.
--       permit_ops = { "WRITE", "MKDIR" },
--       permit = function(domid, op, path, rest)
--         if path:find("^/vm/") and domid ~= 0 then return false, "EACCES" end
--         return true
--       end,
--       -- quotas of a domain that is introduced, by xenstored's names
--       quota = function(domid) return { nodes = 2000, memory = 4 << 20 } end,
--       -- told of requests that are over: err is nil or "EACCES" and the like
--       audit_ops = { "RM" },
--       audit = function(domid, op, path, rest, err) say(domid .. " removed " .. path) end,
--     }
--
-- The functions run in an environment of their own, with string, table, math, utf8 and `say`, for at most `budget`
-- instructions a call (10000). One that fails or takes longer is off from then on, which is said; requests go on as
-- without it. The text is kept in the store below /tool/xenstored/policy, so that a new process of it has it, too.
-- @module xenkit.store_policy
local core = require "xenkit.core.store"

local M = {}

local HOME, PIECE, PIECES = "/tool/xenstored/policy", 1900, 32
local FIELDS = { permit = "function", audit = "function", quota = "function", permit_ops = "table", audit_ops = "table",
  budget = "number", name = "string" }

local function environment(say)
  local env = { string = string, table = table, math = math, utf8 = utf8, ipairs = ipairs, pairs = pairs, next = next,
    select = select, type = type, tostring = tostring, tonumber = tonumber, error = error, assert = assert, say = say }
  env._G = env
  return env
end

local function check(p, name)
  if type(p) ~= "table" then return nil, name .. ": a policy returns a table, this one " .. type(p) end
  for k, v in pairs(p) do
    if not FIELDS[k] then return nil, ("%s: a policy has no '%s'"):format(name, tostring(k)) end
    if type(v) ~= FIELDS[k] then return nil, ("%s: '%s' must be a %s"):format(name, k, FIELDS[k]) end
  end
  for _, hook in ipairs { "permit", "audit" } do
    if p[hook] and not p[hook .. "_ops"] then
      return nil, ("%s: '%s' without '%s_ops', the list of operations that it is for"):format(name, hook, hook)
    end
    for _, op in ipairs(p[hook .. "_ops"] or {}) do
      if type(op) ~= "string" or not core[op] then
        return nil, ("%s: %s_ops: no operation '%s'"):format(name, hook, tostring(op))
      end
    end
  end
  return p
end

--- Loads a policy's text. @return the policy, or nil, message naming file and line
function M.load(text, name, say)
  local chunk, err = load(text, "=" .. name, "t", environment(say or function() end))
  if not chunk then return nil, err end
  local co = coroutine.create(chunk)
  debug.sethook(co, function() error(name .. ": loops at load", 0) end, "", 1000000)
  local ok, p = coroutine.resume(co)
  if not ok then return nil, tostring(p) end
  return check(p, name)
end

local Manager = {}
Manager.__index = Manager

-- The quotas are set just before the engine introduces the domain.
local function permit_with_quota(service, p)
  local permits = {}
  for _, op in ipairs(p.permit_ops or {}) do permits[op] = true end
  return function(domid, op, path, rest)
    if permits[op] then
      local ok, err = p.permit(domid, op, path, rest)
      if not ok then return ok, err end
    end
    if op == "INTRODUCE" then
      local new = math.tointeger(tonumber(path))
      for name, value in pairs(new and p.quota(new) or {}) do
        local ok, err = service:quota(new, name, value)
        if not ok then error(("quota '%s': %s"):format(tostring(name), err), 0) end
      end
    end
    return true
  end
end

local function install(self, p)
  local ops, permit = p and p.permit_ops or {}, p and p.permit
  if p and p.quota then
    ops, permit = table.move(ops, 1, #ops, 1, {}), permit_with_quota(self.service, p)
    ops[#ops + 1] = "INTRODUCE"
  end
  self.service:hooks { permit = permit, permit_ops = ops, audit = p and p.audit, audit_ops = p and p.audit_ops or {},
    budget = p and p.budget and math.tointeger(p.budget) or 10000,
    control = function(...) return self:control(...) end }
  self.policy = p
end

-- --- kept in the store -----------------------------------------------------------------------------------------------

local function keep(self, text)
  self.service:ask(core.RM, HOME .. "\0")
  for i = 1, text and math.ceil(#text / PIECE) or 0 do
    local piece = text:sub((i - 1) * PIECE + 1, i * PIECE)
    local ok, err = self.service:ask(core.WRITE, ("%s/%d\0%s"):format(HOME, i, piece))
    if not ok then return nil, err end
  end
  return true
end

local function kept(self)
  local parts = {}
  for i = 1, PIECES do
    parts[i] = self.service:ask(core.READ, ("%s/%d\0"):format(HOME, i))
    if not parts[i] then break end
  end
  return #parts > 0 and table.concat(parts) or nil
end

--- Takes `text` as the policy. @return true, or nil, message: then the old one stays
function Manager:set(text, name)
  if #text > PIECE * PIECES then return nil, ("a policy has at most %d bytes"):format(PIECE * PIECES) end
  local p, err = M.load(text, name, self.say)
  if not p then return nil, err end
  install(self, p)
  self.text, self.changed = text, true
  return true
end

--- What was changed by a control command is written into the store once that is over: hooks may not.
function Manager:settle()
  if not self.changed then return end
  self.changed = false
  local ok, err = keep(self, self.text)
  if not ok then self.say("policy: it cannot be kept: " .. tostring(err)) end
end

-- --- CONTROL policy ... ----------------------------------------------------------------------------------------------

local commands = {}

function commands.begin(self)
  self.draft = {}
  return "OK"
end

function commands.add(self, piece)
  if not self.draft or #self.draft == PIECES then return nil, "EINVAL" end
  self.draft[#self.draft + 1] = piece
  return "OK"
end

function commands.commit(self)
  if not self.draft then return nil, "EINVAL" end
  local text = table.concat(self.draft)
  self.draft = nil
  local ok, err = self:set(text, "policy")
  self.wake()
  return ok and "OK" or err
end

function commands.off(self)
  install(self, nil)
  self.text, self.changed = nil, true
  self.wake()
  return "OK"
end

function commands.show(self) return (self.text or "no policy\n"):sub(1, 4000) end

--- Answers CONTROL with words that the engine does not know.
function Manager:control(word, sub, ...)
  if word ~= "policy" or not commands[sub] then return nil, "EINVAL" end
  return commands[sub](self, ...)
end

--- @param service of xenkit.core.store
-- @param say function(text) for what it has to tell
-- @param wake function called when something is to be settled
function M.manager(service, say, wake)
  local self = setmetatable({ service = service, say = say, wake = wake }, Manager)
  install(self, nil)
  return self
end

--- Begins with the policy that is kept in the store, else with `text`, if there is one.
function Manager:begin(text, name)
  local old = kept(self)
  if old then return self:set(old, "policy") end
  if text then return self:set(text, name) end
  return true
end

return M
