/**
 * Messages from one partition to another, each carried out exactly once.
 *
 * `out:<p>` holds what a partition has to tell partition p, numbered in order. Any client may carry messages over: the receiver keeps
 * the number of the last message it took from each sender, and skips what it took already; then the sender's copy is dropped.
 */

export const outboxLua: string = String.raw`
-- Leaves a message, a list of texts, for another partition.
local function post(partition, message)
  local number = call('HINCRBY', root .. 'meta', 'sent:' .. partition, 1)
  call('RPUSH', root .. 'out:' .. partition, number .. ' ' .. cjson.encode(message))
  call('SADD', root .. 'outs', partition)
  hint(POST)
end
`
