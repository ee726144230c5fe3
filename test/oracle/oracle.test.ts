/**
 * A part of the oracle that is the same each time. ERRAND_FULL=1 draws anew, and `npm run oracle`
 * looks at everything.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { isFull } from '../full.ts'
import type { Counts } from './compare.ts'
import { all, aroundJumps, atRandom, bySeconds, zonesInFull } from './parts.ts'

const seed = isFull ? Math.floor(Math.random() * 2 ** 31) : 20_261_128

function assertAgrees(counts: Counts): void {
  assert.ok(counts.ticks > 100, 'nothing was compared')
  assert.equal(counts.differences, 0, `seed ${seed}\n${counts.shown.join('\n')}`)
}

test('ticks around jumps of clocks are those that brute force expects', () => {
  assertAgrees(aroundJumps(all, { of: [...zonesInFull, 'UTC', '+05:45'], from: 2026, to: 2027 }))
})

test('ticks at the end of a date that a zone left out are those that brute force expects', () => {
  const of = ['Pacific/Apia', 'Pacific/Fakaofo']
  assertAgrees(aroundJumps(all, { of, from: 2011, to: 2011 }))
})

test('ticks to the second are those that brute force expects', () => {
  const of = ['Europe/Berlin', 'Australia/Lord_Howe', 'America/Nuuk']
  assertAgrees(bySeconds(all, { of, from: 2026, to: 2026 }))
})

test('ticks of rules that were drawn are those that brute force expects', () => {
  assertAgrees(atRandom(all, { seed, rules: 60, windows: 15 }))
})
