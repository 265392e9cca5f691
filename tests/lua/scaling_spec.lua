-- Scaling: the decision function against a simulated service. Instances boot for a while, take an equal share of the
-- load, and no more than they can; what they show is what the function sees.
local scaling = require "xenkit.scaling"

local TICK = 0.25

local function policy(p) return assert(scaling.policy(p)) end

-- Runs `load(t)` (in busy instances) for `seconds`. @return a trace of {t, wanted, running, kind, reason}
local function simulate(p, load, seconds, opts)
  opts = opts or {}
  local boot, running, booting = opts.boot or 0.5, opts.start or 1, {}
  local state, trace = nil, {}
  for i = 0, math.floor(seconds / TICK) do
    local t = i * TICK
    for j = #booting, 1, -1 do
      if booting[j] <= t then
        table.remove(booting, j)
        running = running + 1
      end
    end
    local busy = {}
    for k = 1, running do busy[k] = math.min(1, load(t) / running) end
    if opts.blind and opts.blind(t) then busy[#busy] = nil end
    local wanted, reason
    wanted, state, reason = scaling.decide(state, { now = t, running = running, booting = #booting, busy = busy,
      in_flight = opts.flight and opts.flight(t) or 0 }, p)
    trace[#trace + 1] = { t = t, wanted = wanted, running = running, kind = state.kind, reason = reason }
    while running + #booting < wanted do booting[#booting + 1] = t + boot end
    while running + #booting > wanted do
      if #booting > 0 then table.remove(booting) else running = running - 1 end
    end
  end
  return trace
end

local function changes(trace, from)
  local list = {}
  for i = 2, #trace do
    local d = trace[i].wanted - trace[i - 1].wanted
    if d ~= 0 and trace[i].t >= (from or 0) then list[#list + 1] = d end
  end
  return list
end

-- How often the direction turned.
local function turns(trace, from)
  local n, last = 0, nil
  for _, d in ipairs(changes(trace, from)) do
    local sign = d > 0 and 1 or -1
    if last and sign ~= last then n = n + 1 end
    last = sign
  end
  return n
end

local function at(trace, t) return trace[math.floor(t / TICK) + 1] end

local function check(trace, p)
  for i, e in ipairs(trace) do
    assert.is_true(e.wanted >= p.min and e.wanted <= p.max)
    assert.is_string(e.reason)
    assert.is_truthy(e.reason:find(e.kind == "up" and "^from" or e.kind == "down" and "^from" or "^stays"))
    if i > 1 then
      local d = e.wanted - trace[i - 1].wanted
      assert.is_true(d <= p.step_up and -d <= p.step_down)
      assert.are.equal(d > 0 and "up" or d < 0 and "down" or nil, d ~= 0 and e.kind or nil)
    end
  end
end

describe("scaling.decide in a simulation", function()
  it("answers a step in load within two seconds, once", function()
    local p = policy { max = 8 }
    local trace = simulate(p, function(t) return t < 5 and 0.3 or 2.4 end, 60)
    check(trace, p)
    assert.are.equal(1, at(trace, 4).wanted)
    assert.is_true(at(trace, 6.5).wanted >= 3)
    assert.is_true(at(trace, 60).wanted >= 4 and at(trace, 60).wanted <= 5)
    assert.are.equal(0, turns(trace))
  end)

  it("goes back when the load ends, one at a time, after the long window", function()
    local p = policy { max = 8 }
    local trace = simulate(p, function(t) return t >= 5 and t < 25 and 2.4 or 0.1 end, 90)
    check(trace, p)
    assert.is_true(at(trace, 34).wanted >= 4)
    assert.are.equal(1, at(trace, 90).wanted)
    assert.are.equal(1, turns(trace))
  end)

  it("does not follow a spike down and up again", function()
    local p = policy { max = 8 }
    local trace = simulate(p, function(t) return t % 8 < 2 and 2.0 or 0.2 end, 80)
    check(trace, p)
    assert.are.equal(0, turns(trace, 0))
  end)

  it("ignores one bad sample", function()
    local p = policy()
    local trace = simulate(p, function(t) return t == 20 and 1 or 0.3 end, 40)
    assert.are.same({}, changes(trace))
  end)

  it("stays still under a fast sawtooth and follows a slow one without swinging", function()
    local p = policy { max = 8 }
    local fast = simulate(p, function(t) return 0.5 + 1.5 * (t % 4) / 4 end, 120)
    check(fast, p)
    assert.are.equal(0, turns(fast))
    local slow = simulate(p, function(t) return 0.3 + 3 * (t % 60) / 60 end, 240)
    check(slow, p)
    assert.is_true(turns(slow) <= 8) -- two a period
  end)

  it("does not oscillate on noise, at any mean", function()
    local seed = 1
    local function noise()
      seed = (seed * 1103515245 + 12345) % 2147483648
      return seed / 2147483648 - 0.5
    end
    local p = policy { max = 10 }
    for mean = 0.1, 4, 0.13 do
      local trace = simulate(p, function() return math.max(0, mean * (1 + 0.3 * noise())) end, 120)
      check(trace, p)
      assert.is_true(turns(trace, 20) == 0, ("turns at a mean of %.2f"):format(mean))
      local last = trace[#trace].wanted
      assert.is_true(last >= math.ceil(mean / 0.6 / 1.15), ("%.2f has %d"):format(mean, last))
      assert.is_true(last <= math.ceil(mean / 0.6 / 0.7), ("%.2f has %d"):format(mean, last))
    end
  end)

  it("does not add again for what booting instances will take", function()
    local p = policy { max = 8, boot_limit = 20, target_in_flight = 10, step_up = 2 }
    local trace = simulate(p, function(t) return t < 2 and 0.2 or 1.5 end, 14, { boot = 10,
      flight = function(t) return t < 2 and 1 or math.floor((t - 2) * 40) end }) -- a queue that grows meanwhile
    check(trace, p)
    assert.are.equal(3, at(trace, 11).wanted)
    assert.are.equal("boot", at(trace, 8).kind)
    local p2 = policy { max = 8, boot_limit = 3, target_in_flight = 10, step_up = 2 }
    local never = simulate(p2, function() return 1 end, 8, { boot = 1000, flight = function() return 100 end })
    assert.is_true(at(never, 7).wanted > 3)
  end)

  it("freezes while figures are missing", function()
    local p = policy()
    local trace = simulate(p, function(t) return t < 5 and 1.2 or 0.05 end, 60,
      { start = 2, blind = function(t) return t >= 5 and t < 40 end })
    check(trace, p)
    local before = at(trace, 4.75).wanted
    for t = 5, 39 do
      assert.are.equal(before, at(trace, t).wanted)
      assert.are.equal("freeze", at(trace, t).kind)
    end
    assert.are.equal(1, at(trace, 60).wanted)
  end)

  it("keeps what it finds at a restart until it has seen a whole window", function()
    local trace = simulate(policy(), function() return 0.05 end, 40, { start = 4 })
    assert.are.equal(4, at(trace, 9).wanted)
    assert.are.equal(1, at(trace, 40).wanted)
  end)

  it("scales in only after the cooldown, out at once", function()
    local p = policy { cooldown = 15, stable = 2 }
    local trace = simulate(p, function(t) return t < 3 and 2 or 0.05 end, 40)
    check(trace, p)
    local last_up, first_down
    for i = 2, #trace do
      if trace[i].kind == "up" then last_up = trace[i].t end
      if trace[i].kind == "down" then first_down = first_down or trace[i].t end
    end
    assert.is_true(last_up < 3.5)
    assert.is_true(first_down - last_up >= 15)
  end)

  it("says why it stays at the ceiling", function()
    local p = policy { max = 2 }
    local trace = simulate(p, function() return 4 end, 20)
    assert.are.equal("ceiling", trace[#trace].kind)
    assert.is_truthy(trace[#trace].reason:find("2 is the ceiling", 1, true))
  end)

  it("looks at requests in flight, when told to", function()
    local p = policy { target_in_flight = 10, max = 8 }
    local trace = simulate(p, function() return 0.1 end, 20, { flight = function() return 40 end })
    check(trace, p)
    assert.are.equal(4, trace[#trace].wanted)
  end)
end)

describe("scaling.decide", function()
  it("changes none of its arguments", function()
    local p = policy()
    local _, a = scaling.decide(nil, { now = 0, running = 1, booting = 0, busy = { 0.5 } }, p)
    local wanted, changed, count = a.wanted, a.changed, #a.samples
    local w1, b1, r1 = scaling.decide(a, { now = 1, running = 1, booting = 0, busy = { 1 } }, p)
    local w2, b2, r2 = scaling.decide(a, { now = 1, running = 1, booting = 0, busy = { 1 } }, p)
    assert.are.same({ wanted, changed, count }, { a.wanted, a.changed, #a.samples })
    assert.are.same({ w1, b1, r1 }, { w2, b2, r2 })
  end)

  it("keeps its number when an instance has crashed or none runs", function()
    local p = policy()
    local _, st = scaling.decide(nil, { now = 0, running = 3, booting = 0, busy = { 0.6, 0.6, 0.6 } }, p)
    local w, st2, why = scaling.decide(st, { now = 1, running = 0, booting = 0, busy = {} }, p)
    assert.are.equal(3, w)
    assert.are.equal("freeze", st2.kind)
    assert.is_truthy(why:find("no instance runs", 1, true))
    assert.are.equal(3, (scaling.decide(st, { now = 1, running = 2, booting = 0, busy = { 0.9, 0.9 } }, p)))
  end)

  it("takes what is no number for missing, and bounds what it remembers", function()
    local p = policy()
    local _, st = scaling.decide(nil, { now = 0, running = 1, booting = 0, busy = { 0 / 0 } }, p)
    assert.are.equal("freeze", st.kind)
    for i = 1, 1000 do _, st = scaling.decide(st, { now = i / 4, running = 1, booting = 0, busy = { 0.5 } }, p) end
    assert.is_true(#st.samples <= 42)
  end)
end)

describe("scaling.policy", function()
  it("refuses nonsense", function()
    for _, p in ipairs { { target = 0 }, { target = 2 }, { min = 5, max = 4 }, { panic = 20 }, { tolerance = 1 },
      { step_up = 0 }, { max = "4" }, { maks = 4 }, { cooldown = -1 }, { stable = 0 / 0 } } do
      local r, message, code = scaling.policy(p)
      assert.is_nil(r)
      assert.is_string(message)
      assert.are.equal("XK_EINVAL", code)
    end
  end)
end)
