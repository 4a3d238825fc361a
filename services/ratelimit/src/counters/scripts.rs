//! Lua for what no single command does: giving hits back, and sliding windows.
//! Plain checks of fixed windows need none of it.
//!
//! Scripts are sent whole (`EVAL`): Redis keeps them compiled by their hash,
//! and no restart or `SCRIPT FLUSH` can leave a replica with a name the server
//! does not know.

/// Gives hits back in a fixed window.
///
/// `KEYS[1]` counter; `ARGV` limit, hits. Returns the count left. The count
/// begins at the limit at most, because hits that were denied lie above it.
pub(super) const REFUND: &str = "\
local count = tonumber(redis.call('GET', KEYS[1]) or '0')
if count <= 0 then return 0 end
local left = math.max(0, math.min(count, tonumber(ARGV[1])) - tonumber(ARGV[2]))
redis.call('SET', KEYS[1], string.format('%.0f', left), 'KEEPTTL')
return left
";

/// Adds to, looks at, or gives back in a sliding window.
///
/// `KEYS[1]` hash of part index to hits; `ARGV` act (`add`, `look`, `refund`),
/// part index, number of parts, limit, hits, time to live in milliseconds.
/// Returns the count after, and the oldest part's index or -1.
pub(super) const SLIDING: &str = "\
local act, index, steps = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local limit, hits = tonumber(ARGV[4]), tonumber(ARGV[5])
local all, total, parts = redis.call('HGETALL', KEYS[1]), 0, {}
for i = 1, #all, 2 do
  local part = tonumber(all[i])
  if part > index then index = part end
end
for i = 1, #all, 2 do
  local part, count = tonumber(all[i]), tonumber(all[i + 1])
  if part + steps < index then
    redis.call('HDEL', KEYS[1], all[i])
  else
    parts[#parts + 1] = {part, count}
    total = total + count
  end
end
table.sort(parts, function(a, b) return a[1] < b[1] end)
local oldest = parts[1] and parts[1][1] or -1
if act == 'look' then return {total, oldest} end
if act == 'add' then
  if hits == 1 and total >= limit then return {total + 1, oldest} end
  redis.call('HINCRBY', KEYS[1], string.format('%.0f', index), ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
  if oldest < 0 then oldest = index end
  return {total + hits, oldest}
end
local left = math.max(0, math.min(total, limit) - hits)
local excess = total - left
for i = #parts, 1, -1 do
  local part, count = parts[i][1], parts[i][2]
  local taken = math.min(excess, count)
  excess = excess - taken
  local field = string.format('%.0f', part)
  if taken == count then
    redis.call('HDEL', KEYS[1], field)
  else
    redis.call('HINCRBY', KEYS[1], field, string.format('%.0f', -taken))
  end
  if excess == 0 then break end
end
return {left, oldest}
";
