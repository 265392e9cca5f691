--- os.time, date, difftime, clock: what does not depend on the zone, the clock or the locale. Dates are asked for in
-- UTC ("!"); os.time reads local time, so it is held against os.date and against itself. %Z is left out: a C library
-- calls the zone of UTC "GMT" or "UTC" as it likes.
return function(t)
  local err = t.err

  local function utc(time, want) t(("UTC of %d"):format(time), want, function() return os.date("!%F %T", time) end) end
  utc(0, "1970-01-01 00:00:00")
  utc(1, "1970-01-01 00:00:01")
  utc(-1, "1969-12-31 23:59:59")
  utc(86399, "1970-01-01 23:59:59")
  utc(86400, "1970-01-02 00:00:00")
  utc(951782400, "2000-02-29 00:00:00")
  utc(951868800, "2000-03-01 00:00:00")
  utc(1000000000, "2001-09-09 01:46:40")
  utc(1234567890, "2009-02-13 23:31:30")
  utc(1700000000, "2023-11-14 22:13:20")
  utc(1709164800, "2024-02-29 00:00:00")
  utc(2147483647, "2038-01-19 03:14:07")
  utc(2147483648, "2038-01-19 03:14:08")
  utc(4102444800, "2100-01-01 00:00:00")
  utc(4107542400, "2100-03-01 00:00:00")
  utc(253402300799, "9999-12-31 23:59:59")
  utc(-2208988800, "1900-01-01 00:00:00")
  utc(-2203891200, "1900-03-01 00:00:00")
  utc(-11644473600, "1601-01-01 00:00:00")
  utc(-30610224000, "1000-01-01 00:00:00") -- before that, C libraries differ in how many digits %Y has

  -- Every conversion of C99, at 2024-02-05 08:09:03 (a Monday, day 36, ISO week 6), and others where zeros or spaces
  -- matter.
  local T = 1707120543
  local function row(spec, want, time)
    local label = ("date %s"):format(spec) .. (time and " at " .. time or "")
    t(label, want, function() return os.date("!" .. spec, time or T) end)
  end
  row("%a", "Mon")
  row("%A", "Monday")
  row("%b", "Feb")
  row("%B", "February")
  row("%c", "Mon Feb  5 08:09:03 2024")
  row("%C", "20")
  row("%d", "05")
  row("%D", "02/05/24")
  row("%e", " 5")
  row("%F", "2024-02-05")
  row("%g", "24")
  row("%G", "2024")
  row("%h", "Feb")
  row("%H", "08")
  row("%I", "08")
  row("%j", "036")
  row("%m", "02")
  row("%M", "09")
  row("%n", "\n")
  row("%p", "AM")
  row("%r", "08:09:03 AM")
  row("%R", "08:09")
  row("%S", "03")
  row("%t", "\t")
  row("%T", "08:09:03")
  row("%u", "1")
  row("%U", "05")
  row("%V", "06")
  row("%w", "1")
  row("%W", "06")
  row("%x", "02/05/24")
  row("%X", "08:09:03")
  row("%y", "24")
  row("%Y", "2024")
  row("%z", "+0000")
  row("%%", "%")
  row("%Ec", "Mon Feb  5 08:09:03 2024")
  row("%EC", "20")
  row("%Ex", "02/05/24")
  row("%EX", "08:09:03")
  row("%Ey", "24")
  row("%EY", "2024")
  row("%Od", "05")
  row("%Oe", " 5")
  row("%OH", "08")
  row("%OI", "08")
  row("%Om", "02")
  row("%OM", "09")
  row("%OS", "03")
  row("%Ou", "1")
  row("%OU", "05")
  row("%OV", "06")
  row("%Ow", "1")
  row("%OW", "06")
  row("%Oy", "24")
  row("%I %p", "12 AM", 0)
  row("%I %p", "12 PM", 43200)
  row("%I %p", "11 PM", 86399)
  row("%r", "01:00:00 PM", 46800)
  row("%a %u %w", "Sun 7 0", 1707004800)
  row("%G-W%V-%u %g", "2020-W53-5 20", 1609459200)
  row("%G-W%V-%u", "2009-W01-1", 1230508800)
  row("%G-W%V-%u", "1998-W53-7", 915321600)
  row("%j", "366", 1735603200)
  row("%j %U %W", "001 01 00", 1672531200)
  row("%U %W", "00 01", 1704067200)
  row("%y %C", "99 19", 946684799)
  row("%y %C", "00 20", 946684800)
  row("", "")
  row("no conversions", "no conversions")
  row("%Y%m%d", "20240205")
  row("100%%", "100%")
  row("\0%Y\0", "\0" .. "2024\0")
  t("a long format", 4 * 500, function() return #os.date("!" .. ("%Y"):rep(500), T) end)
  t("os.date('!%c', 0)", "Thu Jan  1 00:00:00 1970")
  t("every month's names", "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", function()
    local list = {}
    for i = 0, 11 do list[#list + 1] = os.date("!%b", i * 2629746 + 1000000) end
    return table.concat(list, " ")
  end)
  t("months in full", "January February March April May June July August September October November December",
    function()
      local list = {}
      for i = 0, 11 do list[#list + 1] = os.date("!%B", i * 2629746 + 1000000) end
      return table.concat(list, " ")
    end)
  t("days in full", "Thursday Friday Saturday Sunday Monday Tuesday Wednesday", function()
    local list = {}
    for i = 0, 6 do list[#list + 1] = os.date("!%A", i * 86400) end
    return table.concat(list, " ")
  end)

  -- Errors.
  t("os.date('!%Q', 0)", err "bad argument #1 to 'date' (invalid conversion specifier '%Q')")
  t("os.date('!%', 0)", err "bad argument #1 to 'date' (invalid conversion specifier '%')")
  t("os.date('!%E', 0)", err "bad argument #1 to 'date' (invalid conversion specifier '%E')")
  t("os.date('!%Ez', 0)", err "bad argument #1 to 'date' (invalid conversion specifier '%Ez')")
  t("os.date('!%OY', 0)", err "bad argument #1 to 'date' (invalid conversion specifier '%OY')")
  t("os.date('!%5d', 0)", err "bad argument #1 to 'date' (invalid conversion specifier '%5d')")
  t("os.date('!%Y', 'x')", err "bad argument #2 to 'date' (number expected, got string)")
  t("os.date('!%Y', 1.5)", err "bad argument #2 to 'date' (number has no integer representation)")
  t("os.date({}, 0)", err "bad argument #1 to 'date' (string expected, got table)")
  t("os.date('!*t', 1 << 60)", err "date result cannot be represented in this installation")
  t("os.date('!%Y', -(1 << 60))", err "date result cannot be represented in this installation")
  t("os.date('!%Y', 0.0), os.date('!%Y', '86400')", "1970", "1970")

  -- "*t".
  t("os.date('!*t', 1707120543)",
    {year = 2024, month = 2, day = 5, hour = 8, min = 9, sec = 3, wday = 2, yday = 36, isdst = false})
  t("os.date('!*t', 0)",
    {year = 1970, month = 1, day = 1, hour = 0, min = 0, sec = 0, wday = 5, yday = 1, isdst = false})
  t("os.date('!*t', -1)",
    {year = 1969, month = 12, day = 31, hour = 23, min = 59, sec = 59, wday = 4, yday = 365, isdst = false})
  t("all fields are integers", true, function()
    local all = true
    for k, v in pairs(os.date("!*t", 1e9 // 1 | 0)) do
      all = all and (k == "isdst" and v == false or math.type(v) == "integer")
    end
    return all
  end)
  t("*t of local time has the same fields", 9, "boolean", function()
    local n = 0
    local d = os.date("*t", 1e9 // 1 | 0)
    for _ in pairs(d) do n = n + 1 end
    return n, type(d.isdst)
  end)
  t("os.date('!*tx', 0)", "*tx")

  -- A calendar made here, against os.date, over 800 years.
  t("a calendar", 0, function()
    local function civil(days)
      -- Days since 1970-01-01 to year, month, day (by eras of 400 years).
      days = days + 719468
      local era = days // 146097
      local doe = days % 146097
      local yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
      local doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
      local mp = (5 * doy + 2) // 153
      local month = mp < 10 and mp + 3 or mp - 9
      return yoe + era * 400 + (month <= 2 and 1 or 0), month, doy - (153 * mp + 2) // 5 + 1
    end
    local wrong = 0
    for days = -141428, 150000, 191 do
      local d = os.date("!*t", days * 86400 + 12345)
      local year, month, day = civil(days)
      if d.year ~= year or d.month ~= month or d.day ~= day or d.hour ~= 3 or d.min ~= 25 or d.sec ~= 45
        or d.wday ~= (days + 4) % 7 + 1 then wrong = wrong + 1 end
      t.feed(os.date("!%F %j %a %V %G %U %W", days * 86400))
    end
    return wrong
  end)

  -- os.time, held against os.date's local time.
  t("time undoes date", 0, function()
    local wrong = 0
    for i = 0, 60 do
      local time = i * 31556952 + 43200
      if os.time(os.date("*t", time)) ~= time then wrong = wrong + 1 end
    end
    return wrong
  end)
  t("a day is 86400 seconds in winter", 86400, 3600, 60, 1, function()
    local function at(day, hour, min, sec)
      return os.time {year = 2023, month = 1, day = day, hour = hour, min = min, sec = sec, isdst = false}
    end
    local noon = at(10, 12, 0, 0)
    return at(11, 12, 0, 0) - noon, at(10, 13, 0, 0) - noon, at(10, 12, 1, 0) - noon, at(10, 12, 0, 1) - noon
  end)
  t("hour, min and sec have defaults", 0, function()
    local whole = os.time {year = 2023, month = 1, day = 10, hour = 12, min = 0, sec = 0}
    return os.time {year = 2023, month = 1, day = 10} - whole
  end)
  t("fields are normalized in place", 2024, 3, 1, 12, 0, 0, 6, 61, function()
    local d = {year = 2024, month = 2, day = 30, hour = 12}
    os.time(d)
    return d.year, d.month, d.day, d.hour, d.min, d.sec, d.wday, d.yday
  end)
  t("months and days overflow both ways", "2025-02-03", "2022-11-29", "2023-12-31", function()
    local function date(year, month, day)
      local d = {year = year, month = month, day = day}
      os.time(d)
      return ("%04d-%02d-%02d"):format(d.year, d.month, d.day)
    end
    return date(2024, 14, 3), date(2022, 12, -1), date(2024, 1, 0)
  end)
  t("seconds overflow", 12, 13, 20, 2, function()
    local d = {year = 2023, month = 6, day = 1, hour = 12, min = 0, sec = 87200}
    os.time(d)
    return d.hour, d.min, d.sec, d.day
  end)
  t("field as text and float", 0, function()
    return os.time {year = "2023", month = 1.0, day = " 10 "} - os.time {year = 2023, month = 1, day = 10}
  end)
  t("fields through a metatable", 0, function()
    local base = {year = 2023, month = 1, day = 10}
    return os.time(setmetatable({}, {__index = base})) - os.time {year = 2023, month = 1, day = 10}
  end)
  t("os.time {year = 2023, month = 1}", err "field 'day' missing in date table")
  t("os.time {year = 2023, day = 1}", err "field 'month' missing in date table")
  t("os.time {}", err "field 'year' missing in date table")
  t("os.time {year = 'x', month = 1, day = 1}", err "field 'year' is not an integer")
  t("os.time {year = 2023, month = 1.5, day = 1}", err "field 'month' is not an integer")
  t("os.time {year = 2023, month = 1, day = true}", err "field 'day' is not an integer")
  t("os.time {year = 1 << 40, month = 1, day = 1}", err "field 'year' is out-of-bound")
  t("os.time {year = -(1 << 40), month = 1, day = 1}", err "field 'year' is out-of-bound")
  t("os.time {year = 2023, month = 1 << 33, day = 1}", err "field 'month' is out-of-bound")
  t("os.time {year = 2023, month = 1, day = 1, sec = 1 << 40}", err "field 'sec' is out-of-bound")
  t("os.time(5)", err "bad argument #1 to 'time' (table expected, got number)")
  t("math.type(os.time()), os.time() >= 0", "integer", true)
  t("os.time(nil) - os.time() <= 1", true)

  -- difftime and clock.
  t("os.difftime(5, 3), os.difftime(3, 5), os.difftime(0, 0)", 2.0, -2.0, 0.0)
  t("os.difftime(1 << 40, 0)", 1099511627776.0)
  t("os.difftime(1.0, '0')", 1.0)
  t("os.difftime(1)", err "bad argument #2 to 'difftime' (number expected, got no value)")
  t("os.difftime(1.5, 0)", err "bad argument #1 to 'difftime' (number has no integer representation)")
  t("os.difftime()", err "bad argument #1 to 'difftime' (number expected, got no value)")
  t("the clock goes forward", "float", true, true, function()
    local a = os.clock()
    local n = 0
    for i = 1, 1000 do n = n + i end
    local b = os.clock()
    return math.type(a), b >= a, n == 500500 and b - a < 60
  end)
end
