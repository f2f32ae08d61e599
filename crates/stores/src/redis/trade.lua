-- Trades a batch of a node for an answer, as guard's ledger does (throttle/lease/account.rs); the
-- tests hold the two together. All numbers are whole and below 2^53, so doubles are exact.
-- KEYS: the nodes, their last batches, then the key of each want.
-- ARGV: node, number, hold, lease, a node's life (all in microseconds), then 15 of each want; then of
-- each claim how many parts it has, and of each part the number of its want, units, and whether it binds.

local BUCKETS, MARGIN, ROUND = 11, 64, 2 ^ 52

local function div(a, b)
  return (a - a % b) / b
end

local function up(a, b)
  return div(a + b - 1, b)
end

local function text(number)
  return string.format('%.0f', number)
end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local node, number = ARGV[1], tonumber(ARGV[2])
local hold, lease, life = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now))
for _, other in ipairs(gone) do
  redis.call('ZREM', KEYS[1], other)
  redis.call('HDEL', KEYS[2], other)
end
local last = tonumber(redis.call('HGET', KEYS[2], node) or '0')
if number <= last then
  return { 0 }
end
redis.call('ZADD', KEYS[1], text(now + life), node)
redis.call('HSET', KEYS[2], node, ARGV[2])
redis.call('PEXPIRE', KEYS[1], text(div(life, 1000) + 1000))
redis.call('PEXPIRE', KEYS[2], text(div(life, 1000) + 1000))
local nodes = redis.call('ZCARD', KEYS[1])

-- An account is { unit, span, at, count, newest or window, holders }; the count is parts owed,
-- units used, eleven counts (the newest first), or times and units in turn. A holder is
-- { node, lent, lent until, held, held until }. Behind that: nothing is undone that was granted before
-- the seventh, and the parts that ever went back.

local function sum(counts, step)
  local total = 0
  for at = step, #counts, step do
    total = total + counts[at]
  end
  return total
end

local function out(account)
  local total = 0
  for _, holder in ipairs(account[6]) do
    total = total + holder[2] + holder[4]
  end
  return total
end

local function fresh(terms)
  local count, newest = 0, 0
  if terms.kind == 's' then
    count = {}
    for at = 1, BUCKETS do count[at] = 0 end
  elseif terms.kind == 'g' then
    count = {}
  end
  if terms.kind == 's' or terms.kind == 'w' then
    newest = div(now, terms.span)
  end
  return { terms.unit, terms.span, now, count, newest, {}, now, 0 }
end

local function convert(account, terms)
  if account[1] == terms.unit and account[2] == terms.span then
    return
  end
  if terms.kind == 'b' or terms.kind == 'l' then
    account[4] = up(account[4], account[1]) * terms.unit
  elseif terms.kind == 'w' then
    account[5] = div(now, terms.span)
  elseif terms.kind == 's' then
    local used = sum(account[4], 1)
    for at = 1, BUCKETS do account[4][at] = 0 end
    account[4][1], account[5] = used, div(now, terms.span)
  end
  account[1], account[2], account[7] = terms.unit, terms.span, now + 1
end

local function pass(account, terms, to)
  if terms.kind == 'b' or terms.kind == 'l' then
    local left = math.max(0, account[4] - (to - account[3]) * terms.gain)
    account[4] = math.max(left, out(account) * account[1])
  elseif terms.kind == 'w' then
    local current = div(to, terms.span)
    if current > account[5] then account[4] = 0 end
    account[5] = current
  elseif terms.kind == 's' then
    local current = div(to, terms.span)
    local by = math.min(BUCKETS, math.max(0, current - account[5]))
    if by > 0 then
      local counts = account[4]
      for at = BUCKETS, 1, -1 do
        counts[at] = at > by and counts[at - by] or 0
      end
    end
    account[5] = current
  else
    local log, first = account[4], 1
    while first <= #log and log[first] + terms.span <= to do first = first + 2 end
    if first > 1 then
      local rest = {}
      for at = first, #log do rest[at - first + 1] = log[at] end
      account[4] = rest
    end
  end
  account[3] = to
end

local function settle(account, terms)
  account[3] = math.min(account[3], now)
  local holders = account[6]
  while true do
    local first, index, field
    for at, holder in ipairs(holders) do
      for amount = 2, 4, 2 do
        local ends = holder[amount + 1]
        if holder[amount] > 0 and ends <= now and (not first or ends < first) then
          first, index, field = ends, at, amount
        end
      end
    end
    if not first then break end
    pass(account, terms, math.max(first, account[3]))
    local holder = holders[index]
    local ended = holder[field]
    holder[field] = 0
    if holder[2] + holder[4] == 0 then table.remove(holders, index) end
    if terms.kind == 's' then account[4][1] = account[4][1] + ended end
  end
  pass(account, terms, now)
end

local function keep_out(account, terms)
  if terms.kind == 'b' then
    account[4] = math.max(account[4], out(account) * account[1])
  elseif terms.kind == 'w' then
    account[4] = math.max(account[4], out(account))
  end
end

local function give_back(account, parts)
  parts = math.min(parts, account[4])
  account[4], account[8] = account[4] - parts, (account[8] + parts) % ROUND
end

local function undo(account, terms, units, at, mark)
  if units == 0 or at < account[7] or at > now then return end
  units = math.min(units, math.max(terms.capacity, 1024))
  if terms.kind == 'b' or terms.kind == 'l' then
    local least = (mark % ROUND - account[8]) % ROUND
    if least > ROUND / 2 then least = 0 end
    local parts = math.max(0, least - (now - at) * terms.gain)
    give_back(account, math.min(parts, units * account[1]))
  elseif terms.kind == 'w' then
    if account[5] == div(at, terms.span) then account[4] = math.max(0, account[4] - units) end
  elseif terms.kind == 's' then
    local age = math.max(0, account[5] - div(at, terms.span)) + 1
    if age <= BUCKETS then account[4][age] = math.max(0, account[4][age] - units) end
  else
    local rest = {}
    for entry = 1, #account[4], 2 do
      local time, count = account[4][entry], account[4][entry + 1]
      if time == at then
        local parts = math.min(units, count)
        units, count = units - parts, count - parts
      end
      if count > 0 then
        rest[#rest + 1] = time
        rest[#rest + 1] = count
      end
    end
    account[4] = rest
  end
  keep_out(account, terms)
end

local function remove(holders, who)
  for at, holder in ipairs(holders) do
    if holder[1] == who then return table.remove(holders, at) end
  end
end

local function report(account, terms, want)
  local known, unit = 0, account[1]
  if not want.exact then
    local holder = remove(account[6], node)
    if holder then known = holder[2] + holder[4] end
  end
  local over = math.max(0, known - want.have)
  local back = math.min(want.back, over)
  local spent = math.min(want.spent, 2 * terms.capacity)
  if terms.kind == 'b' or terms.kind == 'l' then
    give_back(account, back * unit)
    local owed = account[4]
    account[4] = math.min(owed + spent * unit, math.max(owed, 2 * terms.capacity * unit))
  elseif terms.kind == 'w' then
    account[4] = math.max(0, account[4] - back) + spent
  elseif terms.kind == 's' then
    account[4][1] = account[4][1] + over - back + spent
  elseif spent > 0 then
    local log = account[4]
    log[#log + 1] = now
    log[#log + 1] = spent
  end
  if not want.exact and want.have > 0 then
    table.insert(account[6], { node, want.have, 9007199254740991, 0, 0 })
  end
  keep_out(account, terms)
end

local function room(account, terms)
  local used
  if terms.kind == 'l' then
    return account[4] == 0 and 1 or 0
  elseif terms.kind == 'b' then
    return div(math.max(0, terms.capacity * account[1] - account[4]), account[1])
  elseif terms.kind == 'w' then
    used = account[4]
  elseif terms.kind == 's' then
    used = sum(account[4], 1) + out(account)
  else
    used = sum(account[4], 2)
  end
  return math.max(0, terms.capacity - used)
end

local function charge(account, terms, units, exact)
  if terms.kind == 'b' or terms.kind == 'l' then
    account[4] = account[4] + units * account[1]
  elseif terms.kind == 'w' then
    account[4] = account[4] + units
  elseif terms.kind == 's' then
    if exact then account[4][1] = account[4][1] + units end
  elseif units > 0 then
    local log = account[4]
    log[#log + 1] = now
    log[#log + 1] = units
  end
end

local function wait(account, terms, units)
  if terms.kind == 'l' then
    return up(account[4], terms.gain)
  elseif terms.kind == 'b' then
    local owed = account[4] + units * account[1]
    return up(math.max(0, owed - terms.capacity * account[1]), terms.gain)
  elseif terms.kind == 'w' then
    if account[4] + units <= terms.capacity then return 0 end
    return terms.span - now % terms.span
  end
  local ready, used = now
  if terms.kind == 's' then
    used = sum(account[4], 1) + out(account)
    for age = BUCKETS - 1, 0, -1 do
      if used + units <= terms.capacity then break end
      used = used - account[4][age + 1]
      ready = (account[5] + BUCKETS - age) * terms.span
    end
  else
    used = sum(account[4], 2)
    for at = 1, #account[4], 2 do
      if used + units <= terms.capacity then break end
      used = used - account[4][at + 1]
      ready = account[4][at] + terms.span
    end
  end
  return math.max(0, ready - now)
end

local function reset(account, terms)
  if terms.kind == 'b' or terms.kind == 'l' then
    return up(account[4], terms.gain)
  elseif terms.kind == 'w' then
    return account[4] == 0 and 0 or terms.span - now % terms.span
  elseif terms.kind == 's' then
    if sum(account[4], 1) + out(account) == 0 then return 0 end
    return (account[5] + BUCKETS) * terms.span - now
  end
  local log = account[4]
  return #log == 0 and 0 or math.max(0, log[#log - 1] + terms.span - now)
end

local function lives_of(terms)
  if terms.kind ~= 'w' then return lease end
  local rest = terms.span - now % terms.span
  return math.min(lease, rest - up(rest, MARGIN))
end

local function put_out(account, terms, lent, held)
  local lives = lives_of(terms)
  local lent_until = now + lives + div(lives, MARGIN)
  local held_until = math.min(now + hold + div(hold, MARGIN), lent_until)
  for _, holder in ipairs(account[6]) do
    if holder[1] == node then
      holder[4], holder[5] = holder[4] + held, held_until
      return
    end
  end
  if lent + held > 0 then
    table.insert(account[6], { node, lent, lent_until, held, held_until })
  end
end

-- Accounts by their keys; terms, wants and units granted by the numbers of wants.
local accounts, all_terms, wants, granted = {}, {}, {}, {}

local function read(number, at)
  all_terms[number] = {
    kind = ARGV[at],
    capacity = tonumber(ARGV[at + 1]),
    unit = tonumber(ARGV[at + 2]),
    gain = tonumber(ARGV[at + 3]),
    span = tonumber(ARGV[at + 4]),
  }
  wants[number] = {
    key = KEYS[number + 2],
    exact = ARGV[at + 5] == '1',
    need = tonumber(ARGV[at + 6]),
    each = math.max(1, tonumber(ARGV[at + 7])),
    extra = tonumber(ARGV[at + 8]),
    have = tonumber(ARGV[at + 9]),
    back = tonumber(ARGV[at + 10]),
    spent = tonumber(ARGV[at + 11]),
    undo = { tonumber(ARGV[at + 12]), tonumber(ARGV[at + 13]), tonumber(ARGV[at + 14]) },
  }
end

local function open(key, terms)
  if accounts[key] then return accounts[key] end
  local packed = redis.call('GET', key)
  local account = packed and cmsgpack.unpack(packed) or fresh(terms)
  -- Those of an older version have not counted what went back.
  account[7], account[8] = account[7] or now, account[8] or 0
  accounts[key] = account
  return account
end

local function trade(want, terms)
  local account = open(want.key, terms)
  convert(account, terms)
  settle(account, terms)
  if #account[6] == 0 and reset(account, terms) == 0 then account[7], account[8] = now, 0 end
  report(account, terms, want)
  undo(account, terms, want.undo[1], want.undo[2], want.undo[3])
  local left = room(account, terms)
  local need = math.min(want.need, left - left % want.each)
  if terms.kind == 'l' and left > 0 then need = math.min(want.each, want.need) end
  local extra = 0
  if not want.exact then
    extra = math.min(want.extra, div(math.max(0, left - need), 2 * nodes))
  end
  charge(account, terms, need + extra, want.exact)
  if not want.exact then
    remove(account[6], node)
    put_out(account, terms, want.have + extra, need)
  end
  keep_out(account, terms)
  return need + extra
end

local function lacks(account, terms, units)
  local left = room(account, terms)
  if units <= left or (terms.kind == 'l' and left > 0) then return 0 end
  return math.max(1, wait(account, terms, units))
end

-- Charges all parts of a claim, or none; returns how long each has to wait.
local function claim(first, last)
  local waits, is_granted = {}, true
  for at = first, last, 3 do
    local number = tonumber(ARGV[at])
    local account = accounts[wants[number].key]
    local lack = lacks(account, all_terms[number], tonumber(ARGV[at + 1]))
    waits[#waits + 1] = lack
    is_granted = is_granted and (lack == 0 or ARGV[at + 2] == '0')
  end
  for part = 1, is_granted and #waits or 0 do
    local at = first + (part - 1) * 3
    local number, units = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    local want, terms = wants[number], all_terms[number]
    local account = accounts[want.key]
    if waits[part] == 0 then
      charge(account, terms, units, want.exact)
      if not want.exact then put_out(account, terms, 0, units) end
      keep_out(account, terms)
    end
  end
  return waits
end

local function save(key, account, clear)
  local ends = 0
  for _, holder in ipairs(account[6]) do
    ends = math.max(ends, holder[3], holder[5])
  end
  -- What is out may drain only when it is back, so it is kept for both.
  local keep = clear + math.max(0, ends - now)
  if keep == 0 then
    redis.call('DEL', key)
  else
    redis.call('SET', key, cmsgpack.pack(account), 'PX', text(div(keep, 1000) + 1))
  end
end

local answer = { 1, nodes, now }
for number = 1, #KEYS - 2 do
  read(number, 6 + (number - 1) * 15)
  granted[number] = trade(wants[number], all_terms[number])
end
local waits, at = {}, 6 + (#KEYS - 2) * 15
while at <= #ARGV do
  local last = at + 3 * tonumber(ARGV[at])
  for _, lack in ipairs(claim(at + 1, last)) do waits[#waits + 1] = lack end
  at = last + 1
end
for number, want in ipairs(wants) do
  local account, terms = accounts[want.key], all_terms[number]
  local clear = reset(account, terms)
  local is_debt = terms.kind == 'b' or terms.kind == 'l'
  answer[#answer + 1] = granted[number]
  answer[#answer + 1] = room(account, terms)
  answer[#answer + 1] = wait(account, terms, want.each)
  answer[#answer + 1] = clear
  answer[#answer + 1] = lives_of(terms)
  answer[#answer + 1] = is_debt and (account[4] + account[8]) % ROUND or 0
  save(want.key, account, clear)
end
for _, lack in ipairs(waits) do answer[#answer + 1] = lack end
return answer
