import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { verdictOf, type Verdict } from './verdict.ts'

const now = Date.parse('2026-11-28T10:00:00Z')

function verdict(status: number, retryAfter?: string, text = ''): Verdict {
  const headers = retryAfter === undefined ? {} : { 'retry-after': retryAfter }
  return verdictOf({ status, headers, text }, now)
}

describe('the answer to a webhook', () => {
  it('is retried where a repeat may help, and final where it cannot', () => {
    const kinds = (statuses: readonly number[]): Set<string> =>
      new Set(statuses.map((status) => verdict(status).kind))
    assert.deepEqual(kinds([200, 201, 202, 204, 299]), new Set(['taken']))
    assert.deepEqual(kinds([408, 425, 429, 500, 502, 503, 504, 599]), new Set(['again']))
    assert.deepEqual(
      kinds([300, 301, 302, 307, 308, 400, 401, 403, 404, 405, 410, 413, 422]),
      new Set(['refused']),
    )
  })

  it('says how long to wait, at most a day', () => {
    const after = (text?: string): number | null | undefined => {
      const found = verdict(503, text)
      return found.kind === 'again' ? found.afterMs : undefined
    }
    assert.equal(after(), null)
    assert.equal(after('120'), 120_000)
    assert.equal(after('0'), 0)
    assert.equal(after('Sat, 28 Nov 2026 10:05:00 GMT'), 300_000)
    assert.equal(after('Sat, 28 Nov 2026 09:00:00 GMT'), 0)
    assert.equal(after('99999999999999999999'), 86_400_000)
    for (const text of ['soon', '-5x', '', '1.5.5e']) assert.equal(after(text), null)
  })

  it('is told with its reason', () => {
    const why = (found: Verdict): string => (found.kind === 'taken' ? '' : found.why)
    assert.match(why(verdict(301)), /answered 301, a redirect, which is not followed/)
    assert.match(why(verdict(410)), /answered 410: the receiver is gone/)
    assert.equal(why(verdict(400, undefined, ' no such event\n')), 'it answered 400: no such event')
    assert.match(
      why(verdict(500, undefined, '💡'.repeat(500))),
      /^it answered 500: (?:💡){40,50}… /u,
    )
  })
})
