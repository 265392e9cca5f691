--- How many instances a service needs: a pure function from measurements to a number, with the reason in words.
--
--     local scaling = require "xenkit.scaling"
--     local wanted, state, reason
--     local sample = { now = 12.5, running = 2, booting = 0, busy = { 0.9, 0.8 } }
--     wanted, state, reason = scaling.decide(state, sample, policy)
--
-- The load is counted in instances: the sum of the busy shares divided by the target (or the requests in flight divided
-- by their target, when that is more). That number does not change when instances are added, so the same load is not
-- answered twice. It grows beyond `wanted` times one plus the tolerance: more. It fits in fewer, with the tolerance to
-- spare, at every moment of the long window: fewer. Between the two nothing happens, and so nothing swings.
--
-- Two windows: the mean over the long one (`stable`) decides in quiet times; when the mean over the short one (`panic`)
-- exceeds what runs by the factor `panic_at`, it decides at once, and nothing is taken away for a long window.
-- Instances that are busy all the time hide how much more would come: then the load counts as twice what runs, and what
-- was measured while they were full counts no less. While instances boot nothing more is added, because what is
-- measured now is what they were added for; `boot_limit` seconds after, that excuse ends. Scaling in waits for
-- `cooldown`, scaling out never does. When a running instance gives no figures the number stays as it is. A controller
-- that starts anew keeps what it finds.
--
-- Nothing here waits, reads a clock or changes an argument; the service around it is scripts/services/scaler.lua.
-- @module xenkit.scaling
local M = {}

--- The policy's fields and their defaults. Times are in seconds, counts in instances.
M.defaults = {
  min = 1,              -- floor
  max = 4,              -- ceiling
  target = 0.6,         -- busy share of an instance that is as it should be
  target_in_flight = 0, -- the same in requests in flight; 0: do not look at them
  tolerance = 0.1,      -- part of the load by which it may be off the mark
  stable = 10,          -- the long window
  panic = 1,            -- the short window
  panic_at = 1.5,       -- load of the short window, as a multiple of what runs, from which it decides
  saturated = 0.95,     -- busy share from which an instance counts as full
  step_up = 2,          -- at most so many more at a time
  step_down = 1,        -- at most so many fewer at a time
  cooldown = 5,         -- between any change and scaling in
  boot_limit = 5,       -- how long booting instances excuse from adding more
}

local function number(v) return type(v) == "number" and v == v and v > -math.huge and v < math.huge end

--- A policy with the defaults filled in. @return policy, or nil, message, "XK_EINVAL"
function M.policy(given)
  local p = {}
  for k, default in pairs(M.defaults) do
    local v = given and given[k]
    if v == nil then v = default end
    if not number(v) or v < 0 then return nil, ("scaling: %s must be a number, not below 0"):format(k), "XK_EINVAL" end
    p[k] = v
  end
  for k in pairs(given or {}) do
    if M.defaults[k] == nil then return nil, ("scaling: unknown field '%s'"):format(tostring(k)), "XK_EINVAL" end
  end
  if p.target <= 0 or p.target > 1 then return nil, "scaling: target must be above 0, at most 1", "XK_EINVAL" end
  if p.tolerance >= 1 then return nil, "scaling: tolerance must be below 1", "XK_EINVAL" end
  if p.min > p.max then return nil, "scaling: min is above max", "XK_EINVAL" end
  if p.max < 1 or p.step_up < 1 or p.step_down < 1 then
    return nil, "scaling: max, step_up and step_down must be at least 1", "XK_EINVAL"
  end
  if p.panic > p.stable then return nil, "scaling: the panic window is longer than the stable one", "XK_EINVAL" end
  return p
end

local function clamp(n, low, high) return math.max(low, math.min(high, n)) end

-- Rounds up, but takes what differs by a rounding error for equal.
local function ceil(x) return math.ceil(x - 1e-9) end

-- What is wrong with a sample, or nil.
local function missing(s)
  if not number(s.now) or not number(s.running) or not number(s.booting) then return "the counts are missing" end
  local have = 0
  for _, v in ipairs(s.busy or {}) do
    if not number(v) then return "a figure is no number" end
    have = have + 1
  end
  if have < s.running then return ("%d of %d instances give no figures"):format(s.running - have, s.running) end
  if s.running == 0 then return s.booting > 0 and "no instance has booted yet" or "no instance runs" end
end

-- The load of one sample in instances, whether they are full, and their mean share.
local function load_of(s, p)
  local sum = 0
  for _, v in ipairs(s.busy) do sum = sum + clamp(v, 0, 1) end
  local load, full = sum / p.target, sum / s.running >= p.saturated
  local flight = p.target_in_flight > 0 and number(s.in_flight) and s.in_flight / p.target_in_flight or 0
  if flight > load then load = flight end
  if full then load = math.max(load, s.running * 2) end
  return load, full, sum / s.running
end

-- The samples that the long window still covers, and one before it, so that a full window can be told from a short one.
local function history(old, s, load, full, p)
  local list, from = {}, s.now - p.stable
  for i, e in ipairs(old) do
    local next_one = old[i + 1]
    if e.time <= s.now and (e.time >= from or (next_one and next_one.time >= from) or not next_one) then
      list[#list + 1] = e
    end
  end
  list[#list + 1] = { time = s.now, load = load, full = full }
  return list
end

-- The load of full instances is "at least": back to the last moment when they were not, it was as high as it is now.
local function mean(list, from)
  local sum, n, least = 0, 0, list[#list].load
  for i = #list, 1, -1 do
    local e = list[i]
    if e.time < from then break end
    if not e.full then least = 0 end
    sum, n = sum + math.max(e.load, least), n + 1
  end
  return sum / n
end

-- The highest short mean within the long window; and whether the window is full.
local function peak(list, from)
  local most = 0
  for i = #list, 1, -1 do
    if list[i].time < from then break end
    most = math.max(most, list[i].short)
  end
  return most, list[1].time <= from
end

-- What the windows say. Fills in `short` of the newest entry.
local function measure(list, now, p)
  local m = {}
  m.begun = list[1].time <= now - p.panic
  m.short = mean(list, now - p.panic)
  list[#list].short = m.short
  m.long = mean(list, now - p.stable)
  m.peak, m.whole = peak(list, now - p.stable)
  return m
end

local function up(n, s, st, p, m, panic)
  local load = panic and m.short or m.long
  local window = panic and p.panic or p.stable
  local need = ceil(load / (1 + p.tolerance))
  if need <= n then return end
  local said = ("load %.2f (mean of %g s)%s is more than %d"):format(load, window, panic and ", panic" or "", n)
  if n >= p.max then return n, "ceiling", said .. (", but %d is the ceiling"):format(p.max) end
  local booting = s.booting + math.max(0, n - s.running - s.booting)
  if booting > 0 and s.now - st.changed < p.boot_limit then
    return n, "boot", said .. (", but %d still booting will take part of it"):format(booting)
  end
  local to = math.min(need, n + p.step_up, p.max)
  local cut = to < need and ("; %d needed, step or ceiling allow %d"):format(need, to) or ""
  return to, "up", said .. cut
end

local function down(n, s, st, p, m)
  local need = math.max(p.min, ceil(m.peak / (1 - p.tolerance)))
  if need >= n then return end
  local said = ("load at most %.2f in %g s fits in %d"):format(m.peak, p.stable, need)
  if not m.whole then return n, "hold", said .. ", but the window is not full yet" end
  if s.now < st.panic_until then return n, "hold", said .. ", but the panic is not over yet" end
  if s.now - st.changed < p.cooldown then
    return n, "cooldown", said .. (", but the last change was %.1f s ago"):format(s.now - st.changed)
  end
  if s.booting > 0 then return n, "boot", said .. (", but %d still booting"):format(s.booting) end
  local to = math.max(need, n - p.step_down)
  return to, "down", said .. (to > need and ", step by step" or "")
end

local function start(sample, p)
  local have = (number(sample.running) and sample.running or 0) + (number(sample.booting) and sample.booting or 0)
  return { wanted = clamp(have, p.min, p.max), changed = -math.huge, panic_until = -math.huge, samples = {} }
end

local function stay(st, wanted, kind, why)
  local new = {}
  for k, v in pairs(st) do new[k] = v end
  new.wanted, new.kind = wanted, kind
  return wanted, new, why
end

--- Decides.
-- @param state what the last call returned, nil at the first
-- @param sample now (seconds, of any clock that does not jump), running, booting, busy (a list: the share of each
--   running instance, 0 to 1), in_flight (requests, all together); instances that drain are not in it
-- @param policy of `scaling.policy`
-- @return the wanted number; the state for the next call, whose `kind` is "up", "down", "hold", "boot", "cooldown",
--   "ceiling" or "freeze"; the reason, a text
function M.decide(state, sample, policy)
  local p, s = policy, sample
  local st = state or start(s, p)
  local n = clamp(st.wanted, p.min, p.max)
  local gap = missing(s)
  if gap then return stay(st, n, "freeze", ("stays at %d: %s"):format(n, gap)) end
  local load, full, busy = load_of(s, p)
  local list = history(st.samples, s, load, full, p)
  local m = measure(list, s.now, p)
  local new = { wanted = n, changed = st.changed, panic_until = st.panic_until, samples = list, load = load,
    busy = busy }
  if not m.begun then
    new.kind = "hold"
    return n, new, ("stays at %d: measures since less than %g s"):format(n, p.panic)
  end
  local panic = m.short >= p.panic_at * n
  if panic then new.panic_until = s.now + p.stable end
  local to, kind, why = up(n, s, st, p, m, panic)
  if not to then to, kind, why = down(n, s, new, p, m) end
  if not to then
    to, kind, why = n, "hold", ("load %.2f (mean of %g s) is right for %d"):format(m.long, p.stable, n)
  end
  if to ~= n then new.changed, new.from = s.now, n end
  new.wanted, new.kind = to, kind
  return to, new, to ~= n and ("from %d to %d: %s"):format(n, to, why) or ("stays at %d: %s"):format(n, why)
end

return M
