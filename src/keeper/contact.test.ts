import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Contact } from './contact.ts'

function made(leaseMs = 30_000) {
  let now = 1_000
  const contact = new Contact(leaseMs, () => now)
  const pass = (ms: number): void => void (now += ms)
  /** Heartbeats, each five seconds. */
  const beat = (times: number): void => {
    for (let n = 0; n < times; n++) {
      pass(5_000)
      contact.heard()
    }
  }
  return { contact, pass, beat }
}

test('contact is long after one renew interval of heartbeats', () => {
  const { contact, beat } = made()
  assert.equal(contact.isLong, false)
  beat(2)
  assert.equal(contact.isLong, false)
  beat(1)
  assert.equal(contact.isLong, true)
})

test('a call that fails, and a silence of two renew intervals on this side, begin it anew', async () => {
  const { contact, beat, pass } = made()
  beat(3)
  const away = new Error('away')
  await assert.rejects(
    contact.during(() => Promise.reject(away)),
    away,
  )
  assert.equal(contact.isLong, false)
  beat(3)
  assert.equal(contact.isLong, true)
  pass(20_001)
  contact.heard()
  assert.equal(contact.isLong, false)
})

test('with a short lease it takes a second all the same', () => {
  const { contact, pass } = made(300)
  contact.heard()
  for (let n = 0; n < 9; n++) {
    pass(100)
    contact.heard()
  }
  assert.equal(contact.isLong, false)
  pass(100)
  assert.equal(contact.isLong, true)
})
