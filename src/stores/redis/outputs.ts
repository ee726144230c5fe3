/**
 * What is kept of needed jobs, for those of their dependants that want to know how they ended.
 *
 * `k:<id>` holds the needs with `output` of a job: the letter of each need, its partition if that is
 * another, then `h` when its output is handed out, else `k`. `o:<group>` holds how they ended, by
 * id: the digit of the state, the codec as a field, a tab, then the output after a `=` if there is
 * one. It goes with the last job of its group. `e:<id>` holds how one job ended while some who wait
 * for it are still to be told.
 */
import type { Needed, NeededJob } from '../../store/job.ts'
import { stateOf } from '../state-codes.ts'
import { readNullable } from './encoding.ts'
import { unpackId } from './ids.ts'
import { fieldAt } from './job-fields.ts'

export const outputsLua: string = String.raw`
-- How a job ended, as it is kept; nil for one that has not, or is unknown.
local function endingOf(r)
  local bytes = tonumber(match(r.outputLength, '(%d+)$'))
  local codec = fieldsOf(sub(r.fixed, 1, -2))[${fieldAt.codec}] or ''
  return r.state .. codec .. '\t' .. (bytes and '=' .. sub(r.texts, #r.texts - bytes + 1) or '')
end

local function endOf(id)
  local r = load(id)
  if not r or not r.state then return nil end
  return endingOf(r)
end

local function wantsEnd(r, need)
  return has(r, 'k') and r.group ~= '' and call('HEXISTS', root .. 'k:' .. r.id, need) == 1
end

-- Keeps how a need of a job ended, as endOf returned it.
local function keepEnd(r, need, ending)
  if ending then call('HSET', root .. 'o:' .. sub(r.group, 2), need, ending) end
end

-- The state in which a job ended that is not known any more; nil where that was not kept.
local function keptState(r, need)
  if not has(r, 'k') or r.group == '' then return nil end
  local kept = call('HGET', root .. 'o:' .. sub(r.group, 2), need)
  return kept and tonumber(sub(kept, 1, 1)) or nil
end

-- What claimed jobs are handed out beside their inputs: for each that is handed anything its place,
-- 'l' for later, 't' for too large or '', then the ids and ends of its needs.
local function neededFor(ids, records)
  local answers, before = {}, 0
  for n = 1, #ids do
    local r = sub(records[n], 1, 1) == 'X' and parse(ids[n], records[n])
    if r and has(r, 'k') then
      local kept, size = root .. 'o:' .. sub(r.group, 2), 0
      local wants = call('HGETALL', root .. 'k:' .. r.id)
      for k = 1, #wants, 2 do
        if sub(wants[k + 1], -1) == 'h' then size = size + call('HSTRLEN', kept, wants[k]) end
      end
      local answer = { n, size > HANDED and 't' or before > 0 and before + size > HANDED and 'l' or '' }
      if answer[2] == '' then
        before = before + size
        for first = 1, #wants, 2 * MOST do
          local needs = {}
          for k = first, min(#wants, first + 2 * MOST - 2), 2 do needs[#needs + 1] = wants[k] end
          for k, ending in ipairs(call('HMGET', kept, unpack(needs))) do
            ending = ending or ''
            if sub(wants[first + 2 * k - 1], -1) ~= 'h' then ending = match(ending, '^[^\t]*') end
            answer[#answer + 1], answer[#answer + 2] = needs[k], ending
          end
        end
      end
      answers[#answers + 1] = answer
    end
  end
  return answers
end
`

/** What a script says of the needs of one claimed job. */
export type NeededReply = readonly [place: number, mark: string, ...texts: string[]]

/** Reads what `neededFor` returned for one job. */
export function readNeeded([, mark, ...texts]: NeededReply): Needed {
  if (mark !== '') return mark === 'l' ? 'later' : 'too-large'
  const needed: NeededJob[] = []
  for (let n = 0; n < texts.length; n += 2) {
    const [id = '', ending = ''] = texts.slice(n, n + 2)
    const tab = ending.indexOf('\t')
    const head = tab < 0 ? ending : ending.slice(0, tab)
    const output = tab < 0 ? '' : ending.slice(tab + 1)
    needed.push({
      id: unpackId(id),
      state: head === '' ? null : (stateOf(Number(head[0])) as NeededJob['state']),
      output: output === '' ? null : output.slice(1),
      codec: readNullable(head.slice(1)),
    })
  }
  return needed
}
