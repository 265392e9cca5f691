-- xenkit.core.db: values, statements, transactions, and databases in files that a child is handed by its shell.
local core = require "xenkit.core.db"

local function memory(options)
  options = options or {}
  options.main = "memory"
  return assert(core.open(options))
end

local function table_of(db) assert(db:exec "CREATE TABLE t(id INTEGER PRIMARY KEY, v)") end

-- Runs Lua code in a child with descriptors 3 and 4 on two files; returns what it printed.
local function in_child(dir, code, names)
  local path = os.tmpname()
  local f <close> = assert(io.open(path, "w"))
  f:write(code)
  f:close()
  local p <close> = assert(io.popen(string.format("LUA_PATH='%s' LUA_CPATH='%s' lua5.4 %s 3<>%s/%s 4<>%s/%s 2>&1",
    package.path, package.cpath, path, dir, names and names[1] or "main", dir, names and names[2] or "wal")))
  local out = p:read "a"
  os.remove(path)
  return out
end

local function temp_dir()
  local p <close> = assert(io.popen "mktemp -d")
  return p:read "l"
end

describe("core.db", function()
  local db

  before_each(function()
    db = memory()
    table_of(db)
  end)
  after_each(function() db:close() end)

  it("keeps every kind of value", function()
    local set = db:prepare "INSERT INTO t(v) VALUES(?) RETURNING v, typeof(v) AS type"
    local function back(v)
      local row = assert(set:row(v))
      return row.v, row.type
    end
    assert.same({ math.mininteger, "integer" }, { back(math.mininteger) })
    assert.same({ 1.5, "real" }, { back(1.5) })
    assert.same("float", math.type((back(2.0))))
    assert.same({ "a\0b\xff", "text" }, { back("a\0b\xff") })
    assert.same({ "", "text" }, { back("") })
    assert.same({ "a\0b", "blob" }, { back(core.blob "a\0b") })
    assert.same({ "", "blob" }, { back(core.blob "") })
    assert.same({ 1, "integer" }, { back(true) })
    assert.same({ nil, "null" }, { back(nil) })
  end)

  it("gives rows, values, counts and ids", function()
    local put = db:prepare "INSERT INTO t(v) VALUES(?)"
    assert.equal(1, put:run "one")
    assert.equal(1, put:run "two")
    assert.equal(2, db:last_insert_rowid())
    assert.equal(2, db:prepare "UPDATE t SET v = v || '!'":run())
    assert.equal(2, db:changes())
    local get = db:prepare "SELECT id, v FROM t WHERE id = ?"
    assert.same({ id = 2, v = "two!" }, get:row(2))
    assert.equal(false, get:row(3))
    assert.same({ true, 1, "one!" }, { get:values(1) })
    assert.same({ false }, { get:values(9) })
    assert.equal(false, get:row()) -- a missing argument is nil
  end)

  it("iterates, and ends an iteration at break", function()
    for i = 1, 10 do db:prepare "INSERT INTO t VALUES(?, ?)":run(i, i * i) end
    local all = db:prepare "SELECT id FROM t WHERE id > ? ORDER BY id"
    local sum = 0
    for row in all:rows(5) do sum = sum + row.id end
    assert.equal(40, sum)
    for row in all:rows(0) do
      assert.has_error(function() all:row(1) end, "attempt to use a statement that is being iterated")
      local other = db:prepare "SELECT id FROM t WHERE id > ? ORDER BY id" -- busy: a second one is made
      assert.is_not_equal(all, other)
      assert.same({ id = 4 }, other:row(3))
      if row.id == 3 then break end
    end
    assert.same({ id = 1 }, all:row(0))
    assert(db:exec "DROP TABLE t") -- no statement is left running
  end)

  it("tells a failing world from wrong use", function()
    assert.same({ nil, 'near "SELEC": syntax error', "XK_EINVAL" }, { db:prepare "SELEC" })
    assert.same({ nil, "prepare wants exactly one statement", "XK_EINVAL" }, { db:prepare "SELECT 1; SELECT 2" })
    local put = db:prepare "INSERT INTO t VALUES(?, ?)"
    assert(put:run(1, 1))
    assert.same({ nil, "UNIQUE constraint failed: t.id", "XK_EEXIST" }, { put:run(1, 1) })
    assert.same({ nil, "not authorized", "XK_EACCES" }, { db:exec "ATTACH 'x' AS y" })
    assert.same("XK_EACCES", (select(3, db:exec "PRAGMA synchronous = OFF")))
    assert.has_error(function() put:run(1, 2, 3) end, "3 values for a statement with 2 parameters")
    assert.error_matches(function() put:run {} end, "nil, boolean, number, string or blob expected")
    assert.error_matches(function() core.open {} end, "neither a descriptor nor")
    assert.error_matches(function() core.open { main = 3 } end, "'wal' and 'journal'")
    assert.error_matches(function() core.open { main = "memory", statements = -1 } end, "field 'statements'")
    assert.same({ nil, "descriptors of a database: not a descriptor of this kind", "XK_EBADF" },
      { core.open { main = 1000, wal = 1001 } })
  end)

  it("closes in any order, any number of times", function()
    local st = db:prepare "SELECT 1 AS one"
    local iterate, rows = st:rows()
    db:close()
    db:close()
    assert.has_error(function() db:exec "SELECT 1" end, "attempt to use a closed database")
    assert.has_error(function() st:row() end, "attempt to use a closed statement")
    assert.has_error(function() iterate(rows) end, "attempt to use a closed statement")
    st:close()
    st:close()
    do
      local other <close> = memory()
      local kept = other:prepare "SELECT 1"
      kept:close()
      assert.has_error(function() kept:row() end, "attempt to use a closed statement")
      assert.truthy(other:prepare "SELECT 1":row()) -- a closed one is not taken from the cache
    end
    for _ = 1, 50 do memory():prepare "SELECT 1":rows() end
    collectgarbage()
    collectgarbage()
  end)

  it("bounds its statement cache", function()
    local small <close> = memory { statements = 4 }
    local first = small:prepare "SELECT 1 AS one"
    assert.equal(first, small:prepare "SELECT 1 AS one")
    for i = 2, 20 do
      assert(small:prepare("SELECT " .. i))
      if i % 3 == 0 then small:prepare "SELECT 1 AS one" end -- in use: stays
    end
    assert.equal(first, small:prepare "SELECT 1 AS one")
    local c = small:counts()
    assert.equal(4, c.statements)
    assert.equal(16, c.evictions)
    assert.same({ one = 1 }, first:row())
  end)

  it("commits and rolls back", function()
    local put = db:prepare "INSERT INTO t(v) VALUES(?)"
    local function count() return db:prepare "SELECT count(*) AS n FROM t":row().n end
    assert.same({ true, "a", "b" }, { db:transaction(function(x, y)
      assert.truthy(db:in_transaction())
      put:run(1)
      return x, y
    end, "a", "b") })
    local object = {}
    local ok, e = pcall(db.transaction, db, function()
      put:run(2)
      error(object)
    end)
    assert.same({ false, true, 1, false }, { ok, e == object, count(), db:in_transaction() })
    db:transaction(function()
      put:run(3)
      pcall(db.transaction, db, function()
        put:run(4)
        error "inner"
      end)
      db:transaction(function() put:run(5) end)
    end)
    assert.equal(3, count())
    assert.same({ nil, "the transaction was rolled back inside", "XK_ECANCELED" },
      { db:transaction(function() db:exec "ROLLBACK" end) })
    local co = coroutine.wrap(function() db:transaction(coroutine.yield) end)
    assert.error_matches(co, "yield across a C%-call boundary")
    assert.falsy(db:in_transaction())
    assert.same("XK_ECANCELED", (select(3, db:transaction(function() db:close() end))))
  end)

  it("reports a commit that fails, and undoes it", function()
    assert(db:exec "CREATE TABLE c(id INTEGER REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED)")
    local ok, message, code = db:transaction(function() assert(db:exec "INSERT INTO c VALUES(77)") end)
    assert.same({ nil, "FOREIGN KEY constraint failed", "XK_EINVAL" }, { ok, message, code })
    assert.falsy(db:in_transaction())
    assert.equal(0, db:prepare "SELECT count(*) AS n FROM c":row().n)
  end)

  it("keeps a database in files it was handed", function()
    local dir = temp_dir()
    local open = 'local db = assert(require "xenkit.core.db".open { main = 3, wal = 4 }) '
    assert.equal("", in_child(dir, open .. [[
      assert(db:exec "CREATE TABLE t(v)")
      for i = 1, 10 do assert(db:prepare "INSERT INTO t VALUES(?)":run(i)) end
      assert(db:counts().syncs >= 10)
      os.exit(0, false) -- as after a crash: nothing is closed]]))
    assert.equal("55\n", in_child(dir, open .. 'print(db:prepare "SELECT sum(v) AS s FROM t":row().s) db:close()'))
    local log <close> = io.open(dir .. "/wal")
    assert.equal(0, log:seek "end") -- closing copied all back
    assert.equal("55\n", in_child(dir, [[
      local db = assert(require "xenkit.core.db".open { main = 3, journal = 4 })
      print(db:prepare "SELECT sum(v) AS s FROM t":row().s)
      assert(db:exec "DELETE FROM t")]]))
    assert.equal("nil\tdatabase: file is not a database\tXK_EPROTO\n", in_child(dir, [[
      io.open("]] .. dir .. [[/bad", "w"):write(("no database "):rep(1000)):close()
      print(require "xenkit.core.db".open { main = 3, wal = 4 })]], { "bad", "bad-wal" }))
    os.execute("rm -r " .. dir)
  end)
end)
