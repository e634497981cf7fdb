-- The generic cell rate algorithm: what `Rate::take` in token/src/rate.rs says, and no more.
-- KEYS[1]: what is limited. ARGV: now, the interval, the tolerance, how far ahead an arrival time is
-- believed, and how many cells are wanted; times in microseconds, which the numbers of this
-- language hold exactly up to 2^53. Answers what was granted, and the arrival time.
local now, interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local most, want = tonumber(ARGV[4]), tonumber(ARGV[5])
local tat = tonumber(redis.call('GET', KEYS[1]) or now) or now
local level = math.min(math.max(tat - now, 0), most)
local granted = math.min(want, math.floor(math.max(tolerance - level, 0) / interval))
tat = now + level + granted * interval
-- Once its level has passed the limit is empty, as one that is not there. A second more, because
-- nodes' clocks differ.
local kept = math.ceil((tat - now) / 1000) + 1000
redis.call('SET', KEYS[1], string.format('%.0f', tat), 'PX', string.format('%.0f', kept))
return {granted, tat}
