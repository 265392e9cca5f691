--- require and package: preload, loaded, searchers; nothing from files.
return function(t)
  local err = t.err
  local NAME = "language.module" -- no module of this name is anywhere

  local function cleared(body)
    return function()
      package.loaded[NAME], package.preload[NAME] = nil, nil
      local got = table.pack(pcall(body))
      package.loaded[NAME], package.preload[NAME] = nil, nil
      if not got[1] then error(got[2], 0) end
      return table.unpack(got, 2, got.n)
    end
  end

  t("what there is", "table", "table", "table", "string", "function", function()
    return type(package.loaded), type(package.preload), type(package.searchers), type(package.path), type(require)
  end)
  t("the libraries are loaded", true, true, true, function()
    return package.loaded.string == string, package.loaded._G == _G, require("math") == math
  end)
  t("the loader's arguments and results", NAME, ":preload:", "value", ":preload:", cleared(function()
    local a, b
    package.preload[NAME] = function(...)
      a, b = ...
      return "value"
    end
    local value, extra = require(NAME)
    return a, b, value, extra
  end))
  t("loaded once", 1, true, cleared(function()
    local n = 0
    package.preload[NAME] = function()
      n = n + 1
      return {}
    end
    return n + (require(NAME) == require(NAME) and 1 or 100) - n, n == 1
  end))
  t("the second time there is one result", 2, 1, cleared(function()
    package.preload[NAME] = function() return {} end
    return select("#", require(NAME)), select("#", require(NAME))
  end))
  t("no value is true", true, true, cleared(function()
    package.preload[NAME] = function() end
    return (require(NAME)), package.loaded[NAME]
  end))
  t("false is kept and loads again", false, false, 2, cleared(function()
    local n = 0
    package.preload[NAME] = function()
      n = n + 1
      return false
    end
    return (require(NAME)), (require(NAME)), n
  end))
  t("the loader may set package.loaded", "mine", cleared(function()
    package.preload[NAME] = function(name) package.loaded[name] = "mine" end
    return (require(NAME))
  end))
  t("a result wins over package.loaded", "result", cleared(function()
    package.preload[NAME] = function(name)
      package.loaded[name] = "mine"
      return "result"
    end
    return (require(NAME))
  end))
  t("package.loaded is asked first", "there", cleared(function()
    package.loaded[NAME] = "there"
    package.preload[NAME] = function() error("never") end
    return (require(NAME))
  end))
  t("forgotten, it loads again", 1, 2, cleared(function()
    local n = 0
    package.preload[NAME] = function()
      n = n + 1
      return n
    end
    local first = require(NAME)
    package.loaded[NAME] = nil
    return first, (require(NAME))
  end))
  t("an error in the loader", false, "in loader", nil, cleared(function()
    package.preload[NAME] = function() error("in loader", 0) end
    local ok, message = pcall(require, NAME)
    return ok, message, package.loaded[NAME]
  end))
  t("modules that need each other", "half", "whole", cleared(function()
    package.preload[NAME] = function(name)
      package.loaded[name] = "half"
      local seen = require(name)
      return {seen = seen, state = "whole"}
    end
    local m = require(NAME)
    return m.seen, m.state
  end))
  t("an absent module", false, true, true, cleared(function()
    local ok, message = pcall(require, NAME)
    return ok, message:find("module '" .. NAME .. "' not found:", 1, true) == 1,
      message:find("no field package.preload['" .. NAME .. "']", 1, true) ~= nil
  end))
  t("a searcher of one's own", "found language.module", "data", cleared(function()
    local at = #package.searchers + 1
    package.searchers[at] = function(name)
      if name ~= NAME then return "\n\tnot mine" end
      return function(n, extra) return "found " .. n, extra end, "data"
    end
    local got = table.pack(pcall(require, NAME))
    package.searchers[at] = nil
    return got[2], got[3]
  end))
  t("a searcher that says why not", true, cleared(function()
    local at = #package.searchers + 1
    package.searchers[at] = function(name) return "no luck with " .. name end
    local _, message = pcall(require, NAME)
    package.searchers[at] = nil
    return message:find("no luck with " .. NAME, 1, true) ~= nil
  end))
  t("a searcher in front", "front", cleared(function()
    package.preload[NAME] = function() return "preload" end
    table.insert(package.searchers, 1, function(name)
      if name == NAME then return function() return "front" end end
    end)
    local ok, value = pcall(require, NAME)
    table.remove(package.searchers, 1)
    return ok and value
  end))
  t("package.searchers must be a table", false, "'package.searchers' must be a table", cleared(function()
    local searchers = package.searchers
    rawset(package, "searchers", nil)
    local ok, message = pcall(require, NAME)
    rawset(package, "searchers", searchers)
    return ok, message
  end))
  t("require keeps its tables in the registry", true, true, function()
    return debug.getregistry()._LOADED == package.loaded, debug.getregistry()._PRELOAD == package.preload
  end)
  t("require()", err "bad argument #1 to 'require' (string expected, got no value)")
  t("require({})", err "bad argument #1 to 'require' (string expected, got table)")
  t("require(12)", false, true, function()
    local ok, message = pcall(require, 12)
    return ok, message:find("module '12' not found:", 1, true) == 1
  end)
  t("100 modules", 5050, function()
    local sum = 0
    for i = 1, 100 do package.preload[NAME .. i] = function() return i end end
    for i = 1, 100 do
      sum = sum + require(NAME .. i)
      package.loaded[NAME .. i], package.preload[NAME .. i] = nil, nil
    end
    return sum
  end)
end
