--- The tables and statements of `xenkit.jobs`. Legal states, and the moves that must never happen, are constraints of
-- the database, so that a bug of ours is an error and not a lost job.
--
-- Each state has an index of its own that holds only that state's rows: a lease, an expiry or a promotion looks at the
-- first entries of a small tree, whatever the number of jobs.
-- @module xenkit.jobs_schema
local schema = {}

--- Step (i) brings version i - 1 to version i. Steps that were released are never changed, new ones are added.
schema.migrations = {
  [[
  CREATE TABLE jobs_sequence(name TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
  INSERT INTO jobs_sequence VALUES('job', 1), ('token', 1);

  CREATE TABLE jobs(
    id INTEGER PRIMARY KEY,
    state TEXT NOT NULL
      CHECK (state IN ('waiting', 'delayed', 'ready', 'leased', 'done', 'dead', 'cancelled')),
    kind TEXT NOT NULL,
    priority INTEGER NOT NULL,
    attempt INTEGER NOT NULL CHECK (attempt BETWEEN 0 AND max_attempts),
    max_attempts INTEGER NOT NULL,
    token INTEGER NOT NULL,
    worker TEXT,
    pending INTEGER NOT NULL CHECK (pending >= 0), -- jobs it waits for
    due REAL,                                      -- not before; leased: until
    created REAL NOT NULL,
    since REAL NOT NULL,                           -- in this state
    uniq TEXT,
    window REAL,
    payload BLOB,                                  -- NULL: in jobs_payload
    result BLOB,
    error TEXT,
    errors TEXT,
    CHECK (state <> 'waiting' OR pending > 0),
    CHECK (pending = 0 OR state IN ('waiting', 'cancelled')),
    CHECK ((state = 'leased') = (worker IS NOT NULL)),
    CHECK (state <> 'delayed' OR due IS NOT NULL),
    CHECK (state <> 'leased' OR (due IS NOT NULL AND token > 0 AND attempt > 0)),
    CHECK (result IS NULL OR state = 'done')
  );
  CREATE TRIGGER jobs_moves BEFORE UPDATE OF state ON jobs
    WHEN OLD.state IN ('done', 'cancelled')
      OR (NEW.state = 'leased' AND (OLD.state <> 'ready' OR NEW.token <= OLD.token))
      OR (NEW.state IN ('done', 'dead') AND OLD.state <> 'leased')
    BEGIN SELECT RAISE(ABORT, 'a job made a move that is not legal'); END;

  CREATE INDEX jobs_ready ON jobs(priority DESC) WHERE state = 'ready';
  CREATE INDEX jobs_ready_kind ON jobs(kind, priority DESC) WHERE state = 'ready';
  CREATE INDEX jobs_delayed ON jobs(due) WHERE state = 'delayed';
  CREATE INDEX jobs_leased ON jobs(due) WHERE state = 'leased';
  CREATE INDEX jobs_waiting ON jobs(created) WHERE state = 'waiting';
  CREATE INDEX jobs_dead ON jobs(since) WHERE state = 'dead';
  CREATE INDEX jobs_over ON jobs(since) WHERE state IN ('done', 'cancelled');

  CREATE TABLE jobs_payload(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
  CREATE TABLE jobs_after(parent INTEGER NOT NULL, child INTEGER NOT NULL, PRIMARY KEY(parent, child)) WITHOUT ROWID;
  CREATE TABLE jobs_key(key TEXT PRIMARY KEY, id INTEGER NOT NULL, till REAL) WITHOUT ROWID;
  CREATE INDEX jobs_key_till ON jobs_key(till) WHERE till IS NOT NULL;
  ]],
}

local function peek(from, order)
  return "SELECT id, kind, priority, attempt, since, due, error FROM jobs WHERE " .. from .. " ORDER BY " .. order
    .. " LIMIT ?"
end

-- `state IN ('done', 'cancelled')` must stand as in the index, or the planner cannot see that it serves. The unary
-- plus keeps `state = ...` from being looked up in it.
local OVER = "state IN ('done', 'cancelled')"
local PAYLOAD = "coalesce(payload, (SELECT bytes FROM jobs_payload AS p WHERE p.id = jobs.id)) AS payload"
local READY = "SELECT id, kind, priority, attempt, " .. PAYLOAD .. " FROM jobs WHERE state = 'ready' "

--- All statements by name.
schema.statements = {
  get_sequence = "SELECT next FROM jobs_sequence WHERE name = ?",
  set_sequence = "UPDATE jobs_sequence SET next = ? WHERE name = ?",
  count_states = "SELECT state, count(*) AS n FROM jobs GROUP BY state",
  count_keys = "SELECT count(*) FROM jobs_key",

  insert = [[INSERT INTO jobs(id, state, kind, priority, attempt, max_attempts, token, pending, due, created, since,
    uniq, window, payload) VALUES(?, ?, ?, ?, 0, ?, 0, ?, ?, ?, ?, ?, ?, CAST(? AS BLOB))]],
  insert_payload = "INSERT INTO jobs_payload VALUES(?, CAST(? AS BLOB))",
  insert_after = "INSERT INTO jobs_after VALUES(?, ?)",
  insert_key = "INSERT INTO jobs_key VALUES(?, ?, NULL)",
  find_key = "SELECT id, till FROM jobs_key WHERE key = ?",
  keep_key = "UPDATE jobs_key SET till = ? WHERE key = ? AND id = ?",
  drop_key = "DELETE FROM jobs_key WHERE key = ? AND id = ?",
  drop_any_key = "DELETE FROM jobs_key WHERE key = ?",
  drop_old_keys = "DELETE FROM jobs_key WHERE till <= ?",

  state_of = "SELECT state, uniq FROM jobs WHERE id = ?",
  held = [[SELECT id, attempt, max_attempts, uniq, error, errors FROM jobs
    WHERE id = ? AND token = ? AND +state = 'leased' AND due > ?]],
  expired = [[SELECT id, attempt, max_attempts, uniq, errors FROM jobs WHERE state = 'leased' AND due <= ?
    ORDER BY due, id]],
  first_end = "SELECT min(due) FROM jobs WHERE state = 'leased'",
  first_due = "SELECT min(due) FROM jobs WHERE state = 'delayed'",
  ready = READY .. "ORDER BY priority DESC, id LIMIT ?",
  ready_kind = READY .. "AND kind = ? ORDER BY priority DESC, id LIMIT ?",
  ready_below = [[SELECT priority, since FROM jobs WHERE state = 'ready' AND priority < ?
    ORDER BY priority DESC, id LIMIT 1]],
  waiting_for = [[SELECT jobs.id AS id, pending, due, uniq FROM jobs_after JOIN jobs ON jobs.id = child
    WHERE parent = ? AND +state = 'waiting' ORDER BY jobs.id]],

  promote = "UPDATE jobs SET state = 'ready', due = NULL, since = ? WHERE state = 'delayed' AND due <= ?",
  lease = [[UPDATE jobs SET state = 'leased', due = ?, token = ?, worker = ?, since = ?, attempt = attempt + 1
    WHERE id = ?]],
  done = [[UPDATE jobs SET state = 'done', due = NULL, worker = NULL, since = ?, result = CAST(? AS BLOB)
    WHERE id = ? AND token = ? AND +state = 'leased' AND due > ? RETURNING uniq, window]],
  extend = "UPDATE jobs SET due = ? WHERE id = ? AND token = ? AND +state = 'leased' AND due > ?",
  requeue = [[UPDATE jobs SET state = ?, due = ?, attempt = ?, worker = NULL, since = ?, error = ?, errors = ?
    WHERE id = ?]],
  die = [[UPDATE jobs SET state = 'dead', due = NULL, worker = NULL, since = ?, error = ?, errors = ?
    WHERE id = ?]],
  kick = "UPDATE jobs SET state = 'ready', attempt = 0, since = ? WHERE id = ?",
  cancel = [[UPDATE jobs SET state = 'cancelled', due = NULL, worker = NULL, since = ?, error = coalesce(?, error)
    WHERE id = ?]],
  satisfy = [[UPDATE jobs SET pending = pending - 1, state = ?1, due = iif(?1 = 'ready', NULL, due),
    since = iif(?1 = 'waiting', since, ?2) WHERE id = ?3]],
  drop_after = "DELETE FROM jobs_after WHERE parent = ?",
  prune_payloads = [[DELETE FROM jobs_payload WHERE id IN
    (SELECT id FROM jobs WHERE ]] .. OVER .. [[ AND since <= ? ORDER BY since, id LIMIT ?)]],
  prune = [[DELETE FROM jobs WHERE id IN
    (SELECT id FROM jobs WHERE ]] .. OVER .. [[ AND since <= ? ORDER BY since, id LIMIT ?) RETURNING state]],

  get = [[SELECT id, state, kind, ]] .. PAYLOAD .. [[, priority, attempt, max_attempts, token, worker, pending, due,
    created, since, uniq AS "unique", result, error, errors FROM jobs WHERE id = ?]],
  peek_waiting = peek("state = 'waiting'", "created, id"),
  peek_delayed = peek("state = 'delayed'", "due, id"),
  peek_ready = peek("state = 'ready'", "priority DESC, id"),
  peek_leased = peek("state = 'leased'", "due, id"),
  peek_dead = peek("state = 'dead'", "since, id"),
  peek_done = peek(OVER .. " AND +state = 'done'", "since, id"),
  peek_cancelled = peek(OVER .. " AND +state = 'cancelled'", "since, id"),
}

local function version_of(db)
  local st, message, code = db:prepare "SELECT version FROM jobs_schema"
  if not st then return nil, message, code end
  local ok, version = st:values()
  return ok and version or 0
end

local function climb(db, from)
  for version = from + 1, #schema.migrations do
    local ok, message, code = db:exec(schema.migrations[version])
    if not ok then error({ message = message, code = code }, 0) end
  end
  local ok, message, code = db:exec("DELETE FROM jobs_schema; INSERT INTO jobs_schema VALUES("
    .. #schema.migrations .. ")")
  if not ok then error({ message = message, code = code }, 0) end
end

--- Makes the tables, or brings those of an older version to this one, in one transaction.
-- @return true; or nil, message, code: `XK_EPROTO` the tables are of a newer version
function schema.migrate(db)
  local ok, message, code = db:exec "CREATE TABLE IF NOT EXISTS jobs_schema(version INTEGER NOT NULL)"
  if not ok then return nil, message, code end
  local version
  version, message, code = version_of(db)
  if not version then return nil, message, code end
  if version > #schema.migrations then
    return nil, string.format("the job tables are of version %d, this program knows %d: use a newer one", version,
      #schema.migrations), "XK_EPROTO"
  end
  if version == #schema.migrations then return true end
  local called, done
  called, done, message, code = pcall(db.transaction, db, climb, db, version)
  if not called then
    if type(done) ~= "table" then error(done, 0) end
    return nil, done.message, done.code
  end
  return done, message, code
end

return schema
