import assert from 'node:assert/strict'
import { createContext, runInContext } from 'node:vm'
import { test } from 'node:test'
import { errorText, keepError, keptAttemptBytes, keptErrorBytes, messageOf } from './kept-error.ts'
import { keptAttempts } from './job.ts'

function kept(thrown: unknown): ReturnType<typeof keepError> {
  return keepError(thrown, 1, 0)
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => assert.fail('did not reject'),
    (error: unknown) => error,
  )
}

function revoked(target: object): unknown {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

/** Each cause has a cause of its own, made when it is looked at. */
class Endless extends Error {
  override get cause(): Error {
    return new Endless('deeper')
  }
}

/** Each error has two inner ones, made when they are looked at. */
class Fan {
  get errors(): readonly Fan[] {
    return [new Fan(), new Fan()]
  }
}

class Vast extends Error {
  override readonly name = 'n'.repeat(5_000_000)
  readonly code = 'c'.repeat(5_000_000)
}

const refuse = (): never => {
  throw new Error('no look')
}

const hostile: Record<string, () => unknown> = {
  'a revoked proxy': () => revoked({}),
  'a revoked proxy of an error': () => revoked(new Error('inside')),
  'a revoked function': () => revoked(() => {}),
  'a proxy whose every trap throws': () =>
    new Proxy(new Error('inside'), {
      get: refuse,
      has: refuse,
      ownKeys: refuse,
      getPrototypeOf: refuse,
      getOwnPropertyDescriptor: refuse,
    }),
  'getters that throw': () =>
    Object.defineProperties(new Error('x'), {
      name: { get: refuse },
      message: { get: refuse },
      stack: { get: refuse },
      cause: { get: refuse },
      code: { get: refuse },
      errors: { get: refuse },
    }),
  'conversions that throw what throws': () => ({
    toJSON: () => {
      throw revoked({})
    },
    toString: () => {
      throw revoked({})
    },
  }),
  'a class whose name throws': () => ({
    constructor: Object.defineProperty(() => {}, 'name', { get: refuse }),
  }),
  'causes without an end': () => new Endless('top'),
  'inner errors without an end': () => new Fan(),
  'an error of enormous texts': () => new Vast('m'.repeat(5_000_000), { cause: new Vast('c') }),
  'a long text of wide characters': () => new Error('😀'.repeat(100_000)),
  'a long text of control characters': () => '\u001b'.repeat(100_000),
  'a circle of causes': () => {
    const error = new Error('round')
    error.cause = error
    return error
  },
  'an object of many parts': () =>
    Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [i, 'x'.repeat(100)])),
  'a long list of errors': () =>
    new AggregateError(Array.from({ length: 10_000 }, (_, i) => new Error(`${i}`.repeat(1_000)))),
  'a symbol': () => Symbol('s'),
  'half an emoji and NUL': () => new Error('half \ud83d\0'),
}

for (const [what, make] of Object.entries(hostile)) {
  test(`${what} is kept in a record of bounded, well-formed texts`, () => {
    const json = JSON.stringify(kept(make()))
    assert.ok(Buffer.byteLength(json) <= keptErrorBytes, `${Buffer.byteLength(json)} bytes`)
    for (const text of [json, errorText(make()), messageOf(make())]) {
      assert.ok(!/\0|\\u0000|\\ud8/.test(text) && text.isWellFormed(), text.slice(0, 200))
    }
    assert.ok(Buffer.byteLength(errorText(make())) <= 4_000)
  })
}

test('all the attempts of a job fit into 64 KiB', () => {
  assert.ok(keptAttemptBytes * keptAttempts <= 64 * 1_024)
})

test('an error of another realm is kept like one of this', () => {
  const error = runInContext(
    'new TypeError("made elsewhere", { cause: new RangeError("why") })',
    createContext(),
  )
  const { type, message, stack } = kept(error)
  assert.deepEqual([type, message], ['TypeError', 'made elsewhere'])
  assert.match(stack ?? '', /TypeError: made elsewhere\n.*Caused by: RangeError: why/s)
})

test('an AggregateError tells its inner errors, in its message and with their stacks', async () => {
  const { type, message, stack } = kept(
    await rejection(
      Promise.any([Promise.reject(new Error('first')), Promise.reject(new Error('second'))]),
    ),
  )
  assert.equal(type, 'AggregateError')
  assert.equal(message, 'All promises were rejected: Error: first; Error: second')
  assert.match(
    stack ?? '',
    /One of its errors: Error: first\n.*One of its errors: Error: second\n/s,
  )
})

test('an AggregateError without a message has those of its inner errors', () => {
  const inner = Object.assign(new Error('connect ECONNREFUSED ::1:9'), { code: 'ECONNREFUSED' })
  const error = Object.assign(new AggregateError([inner, 'text'], ''), { code: 'ECONNREFUSED' })
  const { message, code } = kept(error)
  assert.deepEqual([message, code], ['Error: connect ECONNREFUSED ::1:9; text', 'ECONNREFUSED'])
})

test('a thrown response tells its status and its address, without what may be secret', () => {
  const response = new Response('no', { status: 503, statusText: 'Service Unavailable' })
  Object.defineProperty(response, 'url', { value: 'https://me:secret@api.example/pay?key=secret' })
  const { type, message } = kept(response)
  assert.equal(type, 'Response')
  assert.equal(message, 'status 503 Service Unavailable from https://api.example/pay')
})

test('objects that are no errors tell their message, their code and their plain fields', () => {
  const error: Record<string, unknown> = { message: 'quota exceeded', code: 429, limit: 5n }
  error['request'] = { response: error }
  const { type, message, stack, code } = kept(error)
  assert.deepEqual(
    [type, message, stack, code],
    ['object', 'quota exceeded (limit: 5)', null, '429'],
  )
})

test('objects without a message are shown as JSON, with what it cannot hold in words', () => {
  const odd: Record<string, unknown> = { big: 1n, inner: new Error('why'), text: 'x' }
  odd['self'] = odd
  assert.equal(kept(odd).message, '{"big":"1","inner":"why","text":"x","self":"(shown before)"}')
  assert.deepEqual(
    [kept(Buffer.alloc(9)).type, kept(Buffer.alloc(9)).message],
    ['Uint8Array', 'Uint8Array of 9 bytes'],
  )
})

test('what is no object is kept as it reads', () => {
  for (const [thrown, type, message] of [
    ['oops', 'string', 'oops'],
    [undefined, 'undefined', 'undefined'],
    [null, 'object', 'null'],
    [5n, 'bigint', '5'],
    [Error, 'function', 'the function Error'],
  ] as const) {
    assert.deepEqual([kept(thrown).type, kept(thrown).message], [type, message])
  }
})

test('a DOMException has its name, and not the number that it once had', () => {
  const { type, message, code, stack } = kept(new DOMException('stopped', 'AbortError'))
  assert.deepEqual([type, message, code], ['AbortError', 'stopped', null])
  assert.match(stack ?? '', /kept-error\.test/)
})

test('a long message leaves room for the places in the stack', () => {
  const { message, stack } = kept(new Error('x'.repeat(100_000)))
  assert.match(message, /^x+… \(\d+ more characters\)$/)
  assert.match(stack ?? '', /kept-error\.test/)
})

test('causes that are no errors are kept too', () => {
  assert.match(kept(new Error('top', { cause: 'just text' })).stack ?? '', /Caused by: just text$/)
  assert.match(
    kept(new Error('top', { cause: { status: 4 } })).stack ?? '',
    /Caused by: object: \{"status":4\}$/,
  )
})
