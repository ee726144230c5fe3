import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inLine, isTorn, shownUrl, shownValue, visible } from './shown.ts'

describe('values in messages', () => {
  it('of any kind are shown on one short line', () => {
    const endless: unknown[] = []
    endless.push(endless)
    const cases: readonly (readonly [unknown, string])[] = [
      [undefined, 'undefined'],
      [null, 'null'],
      [Number.NaN, 'NaN'],
      [5, '5'],
      [5n, '5n'],
      [true, 'true'],
      ['a\nb', '"a\\nb"'],
      [endless, 'a list'],
      [{}, 'an object'],
      [Symbol('s'), 'a symbol'],
      [() => 1, 'a function'],
      [
        new Proxy(
          {},
          {
            get: () => {
              throw new Error('trap')
            },
          },
        ),
        'an object',
      ],
    ]
    for (const [value, text] of cases) assert.equal(shownValue(value), text)
    assert.ok(shownValue('x'.repeat(5_000)).length < 100)
  })
})

describe('texts from elsewhere', () => {
  it('show what a terminal would have done', () => {
    assert.equal(visible('a\u001b[2Jb\u0007\r\u0000'), 'a\\x1b[2Jb\\x07\\x0d\\x00')
    assert.equal(visible('\u009b31m\u007f\u202e'), '\\x9b31m\\x7f\\u202e')
    assert.equal(visible('one\n\ttwo'), 'one\n\ttwo')
    assert.equal(visible('naïve 日本 👍🏽 \u200f'), 'naïve 日本 👍🏽 \u200f')
  })

  it('stay on one line where that is asked', () => {
    assert.equal(inLine('one\n\ttwo\u2028\u001b'), 'one\\n\\ttwo\\u2028\\x1b')
  })
})

/** With a password that is not encoded, which makes most of these no URL at all. */
const torn = [
  'postgres://me:se/cret@host/db',
  'postgres://me:12/secret@host/db',
  'postgres://me:se@secret@host:99999/db',
  'redis://:se#cret@host:6379',
  'redis://:1#secret@host:6379',
  'redis://:secret?@host',
  'redis://me:12?secret@host',
]
const whole = [
  'postgres://me:se cret@host/db',
  'postgres://me:secret@host/db',
  'rediss://:secret@host:6380/2?prefix=p',
]

describe('URLs in messages', () => {
  it('show no password, however it is written', () => {
    const others = [
      'postgres://me:secret',
      'redis://:secret',
      'postgres://host/db?password=secret&prepare=no',
      'mysql:me:secret@host',
      'redis://host/0#secret',
    ]
    for (const url of [...torn, ...whole, ...others]) {
      assert.doesNotMatch(shownUrl(url), /se.?cret|cret/, url)
    }
  })

  it('show what else they say', () => {
    assert.equal(shownUrl('postgres://me:secret@host:5432/db'), 'postgres://…@host:5432/db')
    assert.equal(shownUrl('redis://host:6379/0?prefix=p'), 'redis://host:6379/0?prefix=p')
    assert.equal(shownUrl('sqlite:a.db?durability=power'), 'sqlite:a.db?durability=power')
    assert.equal(
      shownUrl('postgres://host/db?schema=s&listen=postgres://me:x@host/db&passfile=f'),
      'postgres://…@host/db&passfile=f',
    )
    assert.equal(shownUrl('localhost:6379'), 'localhost:6379')
    assert.equal(shownUrl('/var/lib/app.db'), '/var/lib/app.db')
    assert.equal(shownUrl(undefined), 'undefined')
  })

  it('are torn by what is not percent-encoded in them', () => {
    for (const url of torn) assert.equal(isTorn(url), true, url)
    const encoded = 'postgres://me:se%2Fc%40r%23t@host/db?application_name=a@b'
    for (const url of [...whole, encoded]) assert.equal(isTorn(url), false, url)
    assert.equal(isTorn('postgres://me:secret@host:port/db'), false)
    assert.equal(isTorn('postgres://pool/db?listen=postgres://me:x@host/db'), false)
  })
})
