/**
 * What every source of messages does, as rules for any test runner: see `Source`. The last ones put it before an app on a store in memory.
 *
 *     runRules({ test, harness: { create: () => emptyPlace() }, rules: sourceRules })
 */
import assert from 'node:assert/strict'
import { createErrand, type Errand } from '../../errand.ts'
import { task } from '../../core/task.ts'
import type {
  Source,
  SourceConnection,
  SourceMessage,
  SourceOptions,
  SourceRoom,
} from '../../sources/source.ts'
import { memory } from '../../stores/memory/index.ts'
import type { Rule } from './harness.ts'

/** Makes places that messages come from, each empty and of its own. */
export interface SourceHarness {
  create(): Promise<SourceFixture>
}

export interface SourceFixture {
  /** Makes a source of the place, as each process would, with these options. */
  source(options: SourceOptions): Source
  /** Puts messages into the place, in their order, under the id that is given, or else under one that is as good. */
  send(
    messages: readonly { readonly body: string | Uint8Array; readonly id: string }[],
  ): Promise<void>
  /** Loses the connections that the sources have, as a network does; without it the rules about that say nothing. */
  cut?(): Promise<void>
  /** Ends all, and removes the place. */
  dispose(): Promise<void>
}

const room: Required<SourceRoom> = { messages: 100, bytes: 16 * 1_024 * 1_024 }
/** Longer than any broker takes to hand out again what a lost connection held. */
const patienceMs = 45_000
/** For so long nothing comes that is not there. */
const quietMs = 1_500

/** Every rule of sources. */
export const sourceRules: readonly Rule<SourceHarness>[] = rulesOf({
  'what was sent is handed out whole, with the name of its queue and an id': async (scene) => {
    await scene.send('one', 'two')
    const messages = await scene.pulled(await scene.connect(), 2)
    assert.deepEqual(textsOf(messages).toSorted(), ['one', 'two'])
    for (const { id, queue, size, body } of messages) {
      assert.ok(id !== null && id !== '')
      assert.notEqual(queue, '')
      assert.equal(size, body.length)
    }
    assert.equal(new Set(messages.map(({ id }) => id)).size, 2)
  },

  'a pull without messages waits, and ends when it is told to': async (scene) => {
    const connection = await scene.connect()
    const over = new AbortController()
    const pull = connection.pull(room, over.signal)
    assert.equal(await Promise.race([pull, after(quietMs, 'waits')]), 'waits')
    over.abort()
    assert.deepEqual(await inTime(pull, 'the pull'), [])
  },

  'a pull ends as soon as there is a message': async (scene) => {
    const connection = await scene.connect()
    const pull = connection.pull(room, scene.over)
    await scene.send('late')
    assert.deepEqual(textsOf(await inTime(pull, 'the pull')), ['late'])
  },

  'a pull hands out no more than there is room for': async (scene) => {
    await scene.send(...numbered(10))
    const connection = await scene.connect()
    let got = 0
    while (got < 9) {
      const some = await scene.pull(connection, { ...room, messages: 3 })
      assert.ok(some.length <= 3, `${some.length} for 3`)
      got += some.length
      await connection.acknowledge(some)
    }
    await scene.send('x'.repeat(30_000), 'y'.repeat(30_000))
    const [first, ...others] = await scene.pull(connection, { messages: 1, bytes: 100 })
    assert.ok(first !== undefined && others.length === 0)
  },

  'what is held is handed out to nobody else': async (scene) => {
    await scene.send('held')
    const connection = await scene.connect()
    await scene.pulled(connection, 1)
    assert.deepEqual(await scene.nothingMore(await scene.connect()), [])
    assert.deepEqual(await scene.nothingMore(connection), [])
  },

  'what was acknowledged never comes again': async (scene) => {
    await scene.send('first', 'second')
    const connection = await scene.connect()
    const messages = await scene.pulled(connection, 2)
    const [first] = messages.filter((message) => textOf(message) === 'first')
    assert.ok(first !== undefined)
    await connection.acknowledge([first])
    await connection.close()
    assert.deepEqual(textsOf(await scene.pulled(await scene.connect(), 1)), ['second'])
  },

  'acknowledged in another order than handed out, all the same': async (scene) => {
    await scene.send(...numbered(6))
    const connection = await scene.connect()
    const messages = await scene.pulled(connection, 6)
    const isOdd = (message: SourceMessage): boolean => Number(textOf(message)) % 2 === 1
    await connection.acknowledge(messages.filter(isOdd).toReversed())
    await connection.close()
    const again = await scene.pulled(await scene.connect(), 3)
    assert.deepEqual(textsOf(again).toSorted(), ['0', '2', '4'])
  },

  'what is given back is handed out again, under the same id': async (scene) => {
    await scene.send('again')
    const connection = await scene.connect()
    const [message] = await scene.pulled(connection, 1)
    assert.ok(message !== undefined)
    await connection.giveBack([message])
    const [again] = await scene.pulled(connection, 1)
    assert.equal(again?.id, message.id)
    assert.equal(textOf(again), 'again')
  },

  'what was held comes again when its connection was closed, under the same id': async (scene) => {
    await scene.send('again')
    const connection = await scene.connect()
    const [message] = await scene.pulled(connection, 1)
    await connection.close()
    await connection.close()
    const [again] = await scene.pulled(await scene.connect(), 1)
    assert.equal(again?.id, message?.id)
  },

  'a lost connection says so, and what it held comes again': async (scene) => {
    if (scene.fixture.cut === undefined) return
    await scene.send('held')
    const connection = await scene.connect()
    const [message] = await scene.pulled(connection, 1)
    const lost = new Promise<void>((resolve) =>
      connection.lost.addEventListener('abort', () => resolve(), { once: true }),
    )
    await scene.fixture.cut()
    await inTime(lost, 'the loss')
    await assert.rejects(connection.pull(room, scene.over))
    await assert.rejects(connection.acknowledge(message === undefined ? [] : [message]))
    const [again] = await scene.pulled(await scene.connectAtLast(), 1)
    assert.equal(again?.id, message?.id)
  },

  'what is set aside is kept elsewhere, and does not come again': async (scene) => {
    await scene.send('aside', 'next')
    const connection = await scene.connect()
    const messages = await scene.pulled(connection, 2)
    const [message] = messages.filter((one) => textOf(one) === 'aside')
    assert.ok(message !== undefined)
    const place = await connection.setAside(message)
    assert.ok(place !== '', 'it says where')
    await connection.acknowledge(messages)
    assert.deepEqual(await scene.nothingMore(connection), [])
    await connection.close()
    assert.deepEqual(await scene.nothingMore(await scene.connect()), [])
  },

  'a connection that nobody wants any more is given up': async (scene) => {
    const over = new AbortController()
    over.abort()
    const connecting = scene.source().connect(over.signal)
    await inTime(
      connecting.then(
        (connection) => connection.close(),
        () => undefined,
      ),
      'the end of connecting',
    )
  },

  'each message becomes one job, and what cannot is parked': async (scene) => {
    const errand = scene.errand()
    await scene.send(...numbered(20).map(jobBody), 'no JSON', '{"name":"count","input":{"n":"x"}}')
    errand.sources.start()
    await scene.eventually(async () => {
      const { jobs } = await errand.jobs.list({ limit: 100 })
      assert.equal(jobs.length, 22)
      const waiting = jobs.filter(({ state }) => state === 'ready')
      const numbers = waiting
        .map(({ input }) => (input as { n: unknown }).n)
        .filter(Number.isInteger)
      assert.equal(new Set(numbers).size, 20)
      const failed = jobs.filter(({ state }) => state === 'failed')
      assert.deepEqual(
        failed.map(({ reason }) => reason),
        ['invalid-message'],
      )
    })
    await errand.close()
    assert.deepEqual(await scene.nothingMore(await scene.connect()), [])
  },

  'messages that come again, since their acknowledgement was lost, add nothing': async (scene) => {
    const errand = scene.errand(deaf(scene.source()))
    await scene.send(...numbered(5).map(jobBody))
    errand.sources.start()
    await scene.eventually(async () => {
      const [status] = errand.sources.status
      // Those that had become jobs before the connection ended come again.
      assert.ok((status?.known ?? 0) >= 1)
      assert.equal(status?.stored, 5)
      assert.equal(status?.held.messages, 0)
    })
    assert.equal((await errand.jobs.list({ limit: 100 })).jobs.length, 5)
    await errand.close()
    assert.deepEqual(await scene.nothingMore(await scene.connect()), [])
  },
})

/** One place, and what a rule has opened of it. */
class Scene {
  readonly fixture: SourceFixture
  readonly #over = new AbortController()
  readonly #connections: SourceConnection[] = []
  readonly #apps: Errand[] = []
  #sent = 0

  constructor(fixture: SourceFixture) {
    this.fixture = fixture
  }

  /** Aborts at the end of the rule. */
  get over(): AbortSignal {
    return this.#over.signal
  }

  source(): Source {
    return this.fixture.source({})
  }

  async connect(): Promise<SourceConnection> {
    const connection = await inTime(this.source().connect(this.over), 'a connection')
    this.#connections.push(connection)
    return connection
  }

  /** After a loss the place may need a while. */
  async connectAtLast(): Promise<SourceConnection> {
    let connection: SourceConnection | null = null
    await this.eventually(async () => {
      connection = await this.connect()
    })
    return connection ?? assert.fail('no connection')
  }

  send(...bodies: readonly string[]): Promise<void> {
    return this.fixture.send(bodies.map((body) => ({ body, id: `message-${this.#sent++}` })))
  }

  async pull(
    connection: SourceConnection,
    some: Required<SourceRoom>,
  ): Promise<readonly SourceMessage[]> {
    const end = performance.now() + patienceMs
    for (;;) {
      const messages = await inTime(connection.pull(some, this.over), 'a pull')
      if (messages.length > 0) return messages
      assert.ok(performance.now() < end, 'no message comes')
    }
  }

  /** Pulls until there are so many, or the patience is over. */
  async pulled(connection: SourceConnection, count: number): Promise<readonly SourceMessage[]> {
    const all: SourceMessage[] = []
    while (all.length < count) all.push(...(await this.pull(connection, room)))
    return all
  }

  /** What comes within a moment: none is expected. */
  async nothingMore(connection: SourceConnection): Promise<readonly string[]> {
    const over = new AbortController()
    const timer = setTimeout(() => over.abort(), quietMs)
    const messages = await inTime(connection.pull(room, over.signal), 'a pull')
    clearTimeout(timer)
    return textsOf(messages)
  }

  errand(source: Source = this.source()): Errand {
    const count = task<{ n: number }>({ name: 'count' })
    const errand = createErrand({ store: memory(), tasks: [count], sources: [source] })
    this.#apps.push(errand)
    return errand
  }

  async eventually(check: () => Promise<void>): Promise<void> {
    const end = performance.now() + patienceMs
    for (;;) {
      try {
        return await check()
      } catch (error) {
        if (performance.now() > end) throw error
      }
      await after(50, null)
    }
  }

  async end(): Promise<void> {
    this.#over.abort()
    await Promise.allSettled(this.#apps.map((app) => app.close()))
    await Promise.allSettled(this.#connections.map((connection) => connection.close()))
    await this.fixture.dispose()
  }
}

/** The same source, whose first connection loses its acknowledgements, and is lost with them. */
function deaf(source: Source): Source {
  let isDeaf = true
  return {
    ...source,
    async connect(signal) {
      const connection = await source.connect(signal)
      if (!isDeaf) return connection
      isDeaf = false
      return {
        lost: connection.lost,
        pull: (...args) => connection.pull(...args),
        giveBack: (messages) => connection.giveBack(messages),
        setAside: (message) => connection.setAside(message),
        close: () => connection.close(),
        async acknowledge() {
          await connection.close()
          throw new Error('the acknowledgement was lost')
        },
      }
    },
  }
}

function jobBody(n: string): string {
  return JSON.stringify({ name: 'count', input: { n: Number(n) } })
}

function numbered(count: number): readonly string[] {
  return Array.from({ length: count }, (_, n) => String(n))
}

function textOf(message: SourceMessage | undefined): string {
  return Buffer.from(message?.body ?? []).toString()
}

function textsOf(messages: readonly SourceMessage[]): readonly string[] {
  return messages.map(textOf)
}

function after<T>(ms: number, value: T): Promise<T> {
  return new Promise((resolve) => setTimeout(() => resolve(value), ms))
}

async function inTime<T>(work: Promise<T>, what: string): Promise<T> {
  const late = Symbol('late')
  let timer: NodeJS.Timeout | undefined
  const patience = new Promise<typeof late>((resolve) => {
    timer = setTimeout(() => resolve(late), patienceMs)
  })
  const first = await Promise.race([work, patience])
  clearTimeout(timer)
  return first === late ? assert.fail(`${what} takes longer than ${patienceMs} ms`) : first
}

function rulesOf(
  sentences: Readonly<Record<string, (scene: Scene) => Promise<void>>>,
): readonly Rule<SourceHarness>[] {
  return Object.entries(sentences).map(([name, play]) => ({
    group: 'sources',
    name,
    async run(harness: SourceHarness): Promise<void> {
      const scene = new Scene(await harness.create())
      try {
        await play(scene)
      } finally {
        await scene.end()
      }
    },
  }))
}
