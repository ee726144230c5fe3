import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { keyName, normaliseUnique, uniqueKey, type UniqueLayer } from './unique.ts'

const layer = (unique: Parameters<typeof normaliseUnique>[0]): UniqueLayer =>
  normaliseUnique(unique, 'x')!

describe('unique options', () => {
  it('leave the decision to the next level when absent, and end it when false', () => {
    assert.equal(normaliseUnique(undefined, 'x'), undefined)
    assert.equal(normaliseUnique(false, 'x'), null)
  })

  it('hold the key while the job waits or runs, and skip, unless told otherwise', () => {
    const unfinished = {
      key: null,
      during: ['blocked', 'scheduled', 'ready', 'running'],
      forMs: null,
      onConflict: 'skip',
      maxWaitMs: null,
    }
    assert.deepEqual(layer(true), unfinished)
    assert.deepEqual(layer({}), unfinished)
    const all = {
      key: 'k',
      during: ['running'],
      for: '10m',
      onConflict: 'replace',
      maxWait: '1m',
    } as const
    assert.deepEqual(layer(all), {
      key: 'k',
      during: ['running'],
      forMs: 600_000,
      onConflict: 'replace',
      maxWaitMs: 60_000,
    })
  })

  it('that replace hold no key while the job runs, so that what comes then is not dropped', () => {
    assert.deepEqual(layer({ onConflict: 'replace' }).during, ['blocked', 'scheduled', 'ready'])
  })

  it('that cannot be are refused', () => {
    for (const bad of [
      { keys: 'a' },
      { during: ['done'] },
      { for: 'long' },
      { onConflict: 'merge' },
      { onConflict: 'replace', maxWait: 'long' },
      { maxWait: '1m' },
    ]) {
      assert.throws(() => normaliseUnique(bad as never, 'task "a".unique'), {
        code: 'invalid-option',
        message: /task "a"\.unique/,
      })
    }
  })
})

describe('unique keys', () => {
  it('are the same for inputs that differ only in the order of their keys', () => {
    const all = layer(true)
    assert.equal(
      uniqueKey('t', all, { a: 1, b: { c: 2, d: 3 } }),
      uniqueKey('t', all, { b: { d: 3, c: 2 }, a: 1 }),
    )
    assert.notEqual(uniqueKey('t', all, { a: 1 }), uniqueKey('t', all, { a: 2 }))
    assert.match(uniqueKey('t', all, {}), /^t:sha256-[0-9a-f]{64}$/)
  })

  it('of different tasks never meet', () => {
    assert.equal(uniqueKey('one', layer({ key: 'k' }), 1), 'one:k')
    assert.equal(uniqueKey('two', layer({ key: 'k' }), 1), 'two:k')
  })

  it('of different tasks never meet, wherever colons stand in their names', () => {
    const made = (task: string, key: string): string => uniqueKey(task, layer({ key }), 1)
    assert.equal(made('mail', 'send:ada'), 'mail:send:ada')
    assert.equal(made('mail:send', 'ada'), 'mail%3Asend:ada')
    const names = ['a', 'a:', ':a', 'a:b', '%3A', 'a%3A', 'a%3Ab', 'a%253Ab', '%', ':']
    const keys = [...names, 'b', '::a', '3A:a']
    const all = names.flatMap((task) => keys.map((key) => made(task, key)))
    assert.equal(new Set(all).size, all.length)
  })

  it('of a task that was renamed stay those of its first alias', () => {
    assert.equal(keyName({ name: 'new', aliases: [] }), 'new')
    assert.equal(keyName({ name: 'new', aliases: ['first', 'second'] }), 'first')
  })

  it('may come from a function of the input', () => {
    assert.equal(
      uniqueKey('t', layer({ key: (input: { id: number }) => `id-${input.id}` }), { id: 5 }),
      't:id-5',
    )
    for (const bad of ['', 5, undefined]) {
      assert.throws(() => uniqueKey('t', layer({ key: () => bad } as never), 1), {
        code: 'invalid-option',
      })
    }
  })

  it('are bounded in length, and still differ', () => {
    const long = (end: string): string => uniqueKey('t', layer({ key: 'x'.repeat(300) + end }), 1)
    assert.ok(long('a').length < 100)
    assert.notEqual(long('a'), long('b'))
  })
})
