/**
 * Scripts: what runs inside Redis, as one atomic step each. A script is made of fragments, which
 * lie beside the functions that share their subject, and a body. It is called by its digest, so
 * that processes of different versions run their own side by side.
 *
 * Every script names two keys, which are never written: the root of its partition, `{prefix:p}:`,
 * from which the names of all others follow, so that a partition lies in one slot of a cluster, and
 * another one beside it. While a slot moves, the node that it leaves sends on every call whose keys
 * it does not have, and the node that it comes to refuses every call of several keys of which it
 * has not all. So no script runs from the moment at which the slot begins to move until it has
 * moved whole: on neither node would it see all of the partition.
 *
 * A script says in its first line that it writes, even if it only reads: a node that became a
 * replica then refuses it, instead of telling of what was. The first three arguments are the same
 * for all: see `headLua`.
 */
import { handedBytes, smallInputBytes } from '../../core/job.ts'
import { createHash } from 'node:crypto'
import { packedLength } from './ids.ts'

export interface Script {
  readonly name: string
  readonly text: string
  readonly digest: string
}

/** The keys that each script of a partition names. */
export function keysOf(root: string): readonly [string, string] {
  return [root, `${root}:`]
}

/** With what an error of a script begins whose partition is not there. */
export const lostPrefix = 'ERRANDLOST'

/** A partition without `meta` was never laid out, was removed, or has moved in part. */
const presentLua = `
if call('EXISTS', root .. 'meta') == 0 then return redis.error_reply('${lostPrefix} there is no ' .. root .. 'meta') end
`

/** Time and short names. No script touches more than `MOST` jobs. */
const headLua = String.raw`
-- KEYS[1], KEYS[2]: root of the partition, '{prefix:p}:', and a key beside it
-- ARGV[1]: 't' to read the time from the key 'clock', else ''
-- ARGV[2], ARGV[3]: tokens are ARGV[3] modulo ARGV[2]
-- ARGV[4...]: what the body says
local root = KEYS[1]
local call = redis.call
local sub, find, match, gmatch, format = string.sub, string.find, string.match, string.gmatch, string.format
local concat, sort, floor, max, min = table.concat, table.sort, math.floor, math.max, math.min
local MOST, CHUNK, IDLENGTH = 1000, 500, ${packedLength}
local HANDED, SMALL = ${handedBytes}, ${smallInputBytes}
local clock = call('TIME')
local micros = clock[1] * 1000000 + clock[2]
local now = floor(micros / 1000)
if ARGV[1] == 't' then
  local set = call('GET', root .. 'clock')
  if set and sub(set, 1, 1) == '=' then now = tonumber(sub(set, 2))
  elseif set then now = now + tonumber(set) end
end
`

/** Arguments, numbers, hints and tokens. */
const toolsLua = String.raw`
local at = 3
local function nextArg()
  at = at + 1
  return ARGV[at]
end

-- Whole numbers as text; '' for none.
local function text(number)
  if number == nil then return '' end
  return format('%.0f', number)
end

local function fieldsOf(line)
  local fields, n = {}, 0
  for field in gmatch(line .. '\t', '([^\t]*)\t') do
    n = n + 1
    fields[n] = field
  end
  return fields
end

-- A text that may be null and is an argument of its own: nil for ''.
local function textIn(arg)
  if arg ~= '' then return sub(arg, 2) end
  return nil
end

-- What happened, for those who watch: 1 work, 2 finished, 4 cancel, 128 record. For the caller: 8
-- when 'todo' has work for a relay, 16 when there is a message for another partition.
local WORK, FINISHED, CANCEL, REST, POST, RECORD = 1, 2, 4, 8, 16, 128
local hints = {}
local function hint(what) hints[what] = true end
local function hinted()
  local sum = 0
  for what in pairs(hints) do sum = sum + what end
  return sum
end

-- The token of the leases that this call gives: greater than any before, and not behind the
-- server's microseconds.
local token = nil
local function newToken()
  if token then return token end
  local step, rest = tonumber(ARGV[2]), tonumber(ARGV[3])
  local least = max((tonumber(call('HGET', root .. 'meta', 'token')) or 0) + 1, micros)
  token = format('%.0f', least + (rest - least) % step)
  call('HSET', root .. 'meta', 'token', token)
  return token
end
`

/**
 * What a script does when the memory of the server is full: most go on, since they make room, keep
 * leases or only read.
 */
export type WhenFull = 'runs' | 'is-refused'

/** Makes a script from the fragments it uses, in the order of their needs, and its body. */
export function scriptOf(
  name: string,
  fragments: readonly string[],
  body: string,
  whenFull: WhenFull = 'runs',
): Script {
  return made(name, whenFull, [headLua, presentLua, toolsLua, ...fragments, body])
}

/** Makes a script that may run on a partition that is not laid out. */
export function layoutScriptOf(name: string, body: string): Script {
  return made(name, 'runs', [headLua, toolsLua, body])
}

/** Two scripts for one thing. */
export interface Pair {
  /**
   * Code without functions, whose making costs at each call. Carries out the ordinary case, or
   * returns nil and has changed nothing, also when the partition has no `meta`: it looks by a call
   * that it needs in any case. Asks about the jobs of its call alone: that others are out of the
   * ordinary must not slow these down.
   */
  readonly quick: Script
  /** Carries out every case. */
  readonly full: Script
}

/** Makes a pair of scripts. Each may take its own arguments. */
export function pairOf(
  name: string,
  quick: string,
  fragments: readonly string[],
  body: string,
  whenFull: WhenFull = 'runs',
): Pair {
  return {
    quick: made(`quick ${name}`, whenFull, [headLua, quick]),
    full: scriptOf(name, fragments, body, whenFull),
  }
}

function made(name: string, whenFull: WhenFull, parts: readonly string[]): Script {
  const flags = whenFull === 'runs' ? ' flags=allow-oom' : ''
  const text = `#!lua${flags}\n-- errand ${name} 1\n${parts.join('')}`
  return { name, text, digest: createHash('sha1').update(text).digest('hex') }
}
