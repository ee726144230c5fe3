import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LoopLag } from './loop-lag.ts'

const turns = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

test('a loop that stood still was late by about as long', async () => {
  const lag = new LoopLag()
  try {
    await turns(120)
    const begin = performance.now()
    while (performance.now() - begin < 400);
    await turns(120)
    assert.ok(lag.mostMs >= 300, `${lag.mostMs} ms`)
  } finally {
    lag.stop()
  }
})
