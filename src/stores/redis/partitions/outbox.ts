/**
 * Messages from one partition to another, each carried out exactly once.
 *
 * `out:<p>` holds what a partition has to tell partition p, numbered in order. Any client may carry
 * messages over: the receiver keeps the number of the last message it took from each sender, and
 * skips what it took already; then the sender's copy is dropped.
 *
 * A number is the greater of the last + 1 and the server's microseconds, as tokens are: when a
 * fail-over takes back the last messages, what is sent next has a number that the receiver has not
 * seen.
 */

export const outboxLua: string = String.raw`
-- Leaves a message, a list of texts, for another partition.
local function post(partition, message)
  local last = tonumber(call('HGET', root .. 'meta', 'sent:' .. partition)) or 0
  local number = text(max(last + 1, micros))
  call('HSET', root .. 'meta', 'sent:' .. partition, number)
  call('RPUSH', root .. 'out:' .. partition, number .. ' ' .. cjson.encode(message))
  call('SADD', root .. 'outs', partition)
  hint(POST)
end
`
