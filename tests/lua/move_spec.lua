-- xenkit.cli.move_xen against a store that is a table: what it believes, what it writes, and what it leaves alone.
local ok = pcall(require, "xenkit.core.world")

describe("xenkit move on Xen", function()
  if not ok then
    pending("xenkit.so is not built")
    return
  end
  local move = require "xenkit.cli.move_xen"
  local xenkit = require "xenkit"

  local Store = {}
  Store.__index = Store
  function Store:read(path) return self.nodes[path] end
  function Store:write(path, value)
    self.nodes[path] = value
    if self.on_write then self:on_write(path, value) end
    return true
  end
  function Store:rm(path)
    for key in pairs(self.nodes) do
      if key == path or key:sub(1, #path + 1) == path .. "/" then self.nodes[key] = nil end
    end
    return true
  end
  function Store:list(path)
    local seen, list = {}, {}
    for key in pairs(self.nodes) do
      local name = key:sub(1, #path + 1) == path .. "/" and key:sub(#path + 2):match "^[^/]+"
      if name and not seen[name] then
        seen[name] = true
        list[#list + 1] = name
      end
    end
    return list
  end
  function Store:transaction(fn) return fn(self) end
  function Store:many(list)
    for _, c in ipairs(list) do
      if c[1] == "write" then self:write(c[2], c[3]) end
      if c[1] == "rm" then self:rm(c[2]) end
      if c[1] == "set_perms" then self.perms[c[2]] = table.concat(c[3], " ") end
    end
    return true
  end

  local FRONT, OLD = "/local/domain/5/device/vbd/51712", "/local/domain/0/backend/vbd/5/51712"
  local NEW = "/local/domain/3/backend/vbd/5/51712"

  -- Back ends that close when they are told to, and connect when they are new.
  local function made()
    local s = setmetatable({ nodes = {}, perms = {} }, Store)
    for path, value in pairs {
      [FRONT .. "/backend"] = OLD, [FRONT .. "/backend-id"] = "0", [FRONT .. "/state"] = "4",
      [FRONT .. "/ring-ref"] = "8", [FRONT .. "/feature-xenkit-move"] = "1",
      ["/libxl/5/device/vbd/51712/backend"] = OLD,
      [OLD .. "/frontend"] = FRONT, [OLD .. "/params"] = "a.img", [OLD .. "/script"] = "block",
      [OLD .. "/mode"] = "w", [OLD .. "/state"] = "4",
      [OLD .. "/sectors"] = "100",
    } do s.nodes[path] = value end
    function s:on_write(path, value)
      if path:match "/backend/.*/state$" then
        self.nodes[path] = value == "5" and "6" or value == "1" and "4" or value
      end
    end
    return s
  end

  local function run(s, p)
    p = { domain = p.domain or "5", device = p.device or "xvda", back = p.back or "3", image = p.image }
    local result
    xenkit.run(function(ctx)
      result = table.pack(move.move(ctx.world, s, p, function(_, name) return math.tointeger(tonumber(name)) end))
    end)
    return table.unpack(result, 1, result.n)
  end

  it("carries what the toolstack wrote, and no more", function()
    local s = made()
    assert.is_true(run(s, { image = "vbd:xvdb" }))
    assert.is_nil(s.nodes[OLD .. "/params"])
    assert.equal("block", s.nodes[NEW .. "/script"]) -- libxl asks for it at the end
    assert.same({ "vbd:xvdb", "w", FRONT, "5", "1" }, { s.nodes[NEW .. "/params"], s.nodes[NEW .. "/mode"],
      s.nodes[NEW .. "/frontend"], s.nodes[NEW .. "/frontend-id"], s.nodes[NEW .. "/online"] })
    assert.is_nil(s.nodes[NEW .. "/sectors"])
    assert.same({ NEW, "3", NEW }, { s.nodes[FRONT .. "/backend"], s.nodes[FRONT .. "/backend-id"],
      s.nodes["/libxl/5/device/vbd/51712/backend"] })
    assert.same({ "n3 r5", "n5 r3", "n5 r3" }, { s.perms[NEW], s.perms[FRONT], s.perms[FRONT .. "/ring-ref"] })
  end)

  it("does not believe the guest about who serves it", function()
    local victim = "/local/domain/0/backend/vbd/7/51712"
    local s = made()
    s.nodes[victim .. "/params"], s.nodes[victim .. "/state"] = "secret.img", "4"
    s.nodes[FRONT .. "/backend"] = victim -- the node is the guest's own
    s.nodes[OLD .. "/frontend"] = "/local/domain/7/device/vbd/51712"
    assert.is_true(run(s, {}))
    assert.same({ "secret.img", "4" }, { s.nodes[victim .. "/params"], s.nodes[victim .. "/state"] })
    assert.same({ "a.img", FRONT }, { s.nodes[NEW .. "/params"], s.nodes[NEW .. "/frontend"] })
    s = made()
    s.nodes["/libxl/5/device/vbd/51712/backend"] = victim -- and of what is libxl's, only what can be
    assert.same({ nil, "5 has no xvda", "XK_ENOENT" }, { run(s, {}) })
  end)

  it("tells what cannot be", function()
    local s = made()
    assert.same({ nil, "no domain 'x'", "XK_ENOENT" }, { run(s, { domain = "x" }) })
    assert.same({ nil, "no domain 'y'", "XK_ENOENT" }, { run(s, { back = "y" }) })
    assert.equal("XK_EINVAL", select(3, run(s, { device = "eth0" })))
    assert.equal("XK_ENOENT", select(3, run(s, { device = "vif0" })))
    s.nodes[FRONT .. "/feature-xenkit-move"] = nil
    assert.equal("XK_ENOSYS", select(3, run(s, {})))
    assert.equal("4", s.nodes[OLD .. "/state"]) -- and nothing was touched
  end)
end)
