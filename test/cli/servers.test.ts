/** What a person sees of PostgreSQL and Redis: faults as one line with what to do, and what doctor says. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { Redis } from 'ioredis'
import { createErrand, task } from 'errand'
import { postgres } from 'errand/postgres'
import { redis } from 'errand/redis'
import { canStartPostgres, query, startPostgres } from '../postgres-server.ts'
import { canStartRedis, startRedis } from '../redis-server.ts'
import { errand, root, startNode, type Ended } from './command-line.ts'

const cwd = root
const secret = 'not-to-be-shown'

/** Runs a command on a store and checks that it ends as an error of one line. */
async function fails(
  store: string,
  code: number,
  says: RegExp,
  ...command: readonly string[]
): Promise<void> {
  const args = command.length === 0 ? ['jobs', 'list'] : command
  told(await errand([...args, '--store', store], { cwd }), code, says)
}

function told({ code, stdout, stderr }: Ended, wanted: number, says: RegExp): void {
  assert.match(stderr, says)
  assert.match(stderr, /^error: [^\n]*\n$/)
  assert.doesNotMatch(stderr, new RegExp(secret))
  assert.equal(stdout, '')
  assert.equal(code, wanted)
}

/** Runs doctor on a store and checks a line of it, and whether it fails. */
async function doctor(store: string, line: RegExp, code: 0 | 1): Promise<void> {
  const ended = await errand(['doctor', '--store', store], { cwd })
  assert.equal(ended.stderr, '')
  assert.match(ended.stdout, line)
  assert.doesNotMatch(ended.stdout, new RegExp(secret))
  assert.equal(ended.code, code)
}

/** What only a look at the URL, or a try to connect, finds out. */
const wrongUrls: readonly [url: string, says: RegExp][] = [
  ['postgres:nonsense', /Write it as postgres:\/\//],
  ['postgres://me@127.0.0.1/x?prepare=maybe', /prepare is true or false/],
  ['postgres://me@127.0.0.1/x?schema=No%20Name', /plain name in lower case/],
  [`postgres://me:${secret}@127.0.0.1:1/x`, /nothing listens there: start the server/],
  [`postgres://me:${secret}@no.such.host.invalid/x`, /host name cannot be found/],
  ['postgers://x', /Did you mean postgres:\/\/x\?/],
  ['redis:nonsense', /needs a URL such as redis:\/\//],
  ['redis://127.0.0.1?prefx=x', /no parameter prefx; known: prefix, partitions/],
  ['redis://127.0.0.1?partitions=x', /partitions must be a whole number/],
  [`redis://:${secret}@127.0.0.1:1`, /ECONNREFUSED.*make sure that it runs/],
  [`redis://:${secret}@no.such.host.invalid`, /ENOTFOUND.*address is right/],
  [`redis://:${secret}@127.0.0.1:1,127.0.0.1:2`, /cannot be reached/],
]
for (const [url, says] of wrongUrls)
  test(`${url.replace(secret, '…')} ends with 2 and a line`, () => fails(url, 2, says))

test('a server that is away is a failure of doctor, and --verbose shows the stack', async () => {
  const away = `postgres://me:${secret}@127.0.0.1:1/x`
  await doctor(away, /^fail {2}store +.*nothing listens there.*\n +→ .*cannot be used/m, 1)
  await doctor(`redis://:${secret}@127.0.0.1:1`, /^fail {2}store +.*cannot be reached/m, 1)
  const { stderr } = await errand(['jobs', 'list', '--store', away, '--verbose'], { cwd })
  assert.match(stderr, /\n +at /)
  assert.doesNotMatch(stderr, new RegExp(secret))
})

for (const [peer, url] of [
  ['pg', 'postgres://127.0.0.1/x'],
  ['ioredis', 'redis://127.0.0.1'],
] as const) {
  test(`without ${peer} a command says how to install it`, async () => {
    const hide = `import { registerHooks } from 'node:module'
      registerHooks({ resolve(name, context, next) {
        if (name === '${peer}') throw Object.assign(new Error("Cannot find package '${peer}'"), { code: 'ERR_MODULE_NOT_FOUND' })
        return next(name, context)
      } })`
    const { ended } = startNode(
      [
        '--conditions=errand-source',
        '--import',
        `data:text/javascript,${encodeURIComponent(hide)}`,
        join(root, 'src/cli/main.ts'),
        'jobs',
        'list',
        '--store',
        url,
      ],
      { cwd },
    )
    told(await ended, 2, new RegExp(`npm i(nstall)? ${peer}`))
  })
}

const nothing = task({ name: 'nothing', run: () => null })

if (canStartPostgres()) {
  const server = await startPostgres({ max_prepared_transactions: 5 })
  after(() => server.stop())
  const { url } = server
  /** The URL of a new schema that has seen a queue called mail. */
  const withQueue = async (schema: string): Promise<string> => {
    const store = `${url}?schema=${schema}`
    assert.equal((await errand(['migrate', '--store', store], { cwd })).code, 0)
    await query(url, `SELECT ${schema}.enqueue('send', '{}', '{"queue": "mail"}')`)
    return store
  }
  const as = (user: string): string => url.replace('postgres@', `${user}@`)

  test('PostgreSQL: a database that is missing and a wrong password end with 2', async () => {
    await query(url, `CREATE ROLE locked LOGIN PASSWORD 'right'`)
    await fails(url.replace(/[^/]*$/, 'missing'), 2, /no such database: create it/)
    await fails(as(`locked:${secret}`), 2, /user or password is wrong: correct the URL/)
    await doctor(as(`locked:${secret}`), /^fail {2}store +.*password is wrong/m, 1)
  })

  test('PostgreSQL: who may not create the schema is told what to do', async () => {
    await query(url, 'CREATE ROLE modest LOGIN')
    const store = `${as('modest')}?schema=of_another`
    await fails(store, 2, /may not do that.*errand migrate/)
    await doctor(store, /^fail {2}store +.*may not do that/m, 1)
  })

  test('PostgreSQL: a schema newer than the code ends with 2', async () => {
    const store = `${url}?schema=newer`
    assert.equal((await errand(['migrate', '--store', store], { cwd })).code, 0)
    await query(url, `UPDATE newer.meta SET value = 99 WHERE name = 'schema'`)
    await fails(store, 2, /schema 99, this one knows \d+\): upgrade errand/)
    await doctor(store, /^fail {2}store +.*upgrade errand/m, 1)
  })

  test('PostgreSQL: on a read-only server reading goes on, writing ends with 2, and doctor fails', async () => {
    const store = await withQueue('readable')
    const readOnly = `${store}&options=-c%20default_transaction_read_only%3Don`
    assert.equal((await errand(['jobs', 'list', '--store', readOnly], { cwd })).code, 0)
    await fails(
      readOnly,
      2,
      /read-only replica, or was demoted: name the primary/,
      'queues',
      'pause',
      'mail',
    )
    await doctor(readOnly, /^fail {2}writes +.*read-only replica.*\n +→ No job can be enqueued/m, 1)
  })

  test('PostgreSQL: doctor states durability, and warns of fsync, of deafness and of a live client', async () => {
    const store = `${url}?schema=states`
    await doctor(store, /^ok {4}durability +.*fsync = off, synchronous_commit = on/m, 0)
    await doctor(store, /^warn {2}postgres +fsync is off: .*\n +→ Set fsync = on/m, 0)
    await doctor(`${store}&listen=false`, /^warn {2}postgres +notifications do not arrive/m, 0)
    const off = `${store}&options=-c%20synchronous_commit%3Doff`
    await doctor(off, /^ok {4}durability +.*synchronous_commit = off/m, 0)
  })

  test('PostgreSQL: doctor counts jobs of tasks that no worker knows', async () => {
    const store = postgres(url, { schema: 'unknown' })
    const app = createErrand({ store, queues: { '*': {} } })
    const job = await app.enqueue(nothing)
    await app.worker().start()
    while ((await app.jobs.get(job.id))?.deferrals === 0)
      await new Promise((resolve) => setTimeout(resolve, 5))
    await app.close()
    await doctor(`${url}?schema=unknown`, /^warn {2}unknown tasks +1 job of nothing/m, 0)
  })

  test('PostgreSQL: a server that is stopped and started again is used by the next command', async () => {
    const store = await withQueue('requeue')
    assert.equal((await errand(['queues', 'pause', 'mail', '--store', store], { cwd })).code, 0)
    await server.kill()
    await fails(store, 2, /nothing listens there|starting up or shutting down/)
    await server.start()
    const { stdout } = await errand(['queues', 'list', '--store', store], { cwd })
    assert.match(stdout, /^mail +paused/m)
  })
}

if (canStartRedis()) {
  const server = await startRedis('--requirepass', 'right')
  const url = server.url.replace('//', '//:right@')
  const admin = new Redis(url)
  after(async () => {
    admin.disconnect()
    await server.stop()
  })

  test('Redis: no password, a wrong one, and a database that is missing end with 2', async () => {
    await fails(server.url, 2, /asks for a password: name one in the URL/)
    await fails(server.url.replace('//', `//:${secret}@`), 2, /refuses the user or the password/)
    await fails(`${url}/99`, 2, /no database of this number/)
  })

  test('Redis: a user without scripts is told what to grant', async () => {
    await admin.call('ACL', 'SETUSER', 'poor', 'on', '>pw', '~*', '&*', '+@all', '-@scripting')
    const store = server.url.replace('//', '//poor:pw@')
    await fails(store, 2, /does not let this user run scripts.*grant \+@scripting/)
    await doctor(store, /^fail {2}store +.*grant \+@scripting/m, 1)
    await admin.call('ACL', 'SETUSER', 'poor', '+@scripting')
    await doctor(store, /^ok {4}writes/m, 0)
  })

  test('Redis: a user who may not ask for settings still works, and doctor says so', async () => {
    await admin.call('ACL', 'SETUSER', 'shy', 'on', '>pw', '~*', '&*', '+@all', '-info', '-config')
    const store = server.url.replace('//', '//shy:pw@')
    const { code, stdout } = await errand(['doctor', '--store', store], { cwd })
    assert.match(stdout, /^warn {2}redis +this user may not ask .*\n +→ Grant it \+info/m)
    assert.equal(code, 0)
  })

  test('Redis: a replica ends with 2', async () => {
    const master = ['--replicaof', '127.0.0.1', String(server.port), '--masterauth', 'right']
    const replica = await startRedis(...master)
    const look = new Redis(replica.url)
    while (!(await look.info('replication')).includes('master_link_status:up'))
      await new Promise((resolve) => setTimeout(resolve, 20))
    await fails(replica.url, 2, /read-only replica: name the master/)
    await doctor(replica.url, /^fail {2}store +.*read-only replica/m, 1)
    look.disconnect()
    await replica.stop()
  })

  test('Redis: a layout newer than the code ends with 2', async () => {
    await admin.hset('{newer:0}:meta', { layout: '99', partitions: '1' })
    await fails(`${url}?prefix=newer`, 2, /layout 99, this one knows \d+\): upgrade errand/)
  })

  test('Redis: with a full memory enqueues end with 2 and doctor warns; afterwards all goes on', async () => {
    const store = `${url}?prefix=full`
    const app = createErrand({ store: redis(url, { prefix: 'full' }), tasks: [nothing] })
    after(() => app.close())
    const worker = app.worker()
    await worker.start()
    await worker.stop()
    await admin.config('SET', 'maxmemory', '1mb')
    await fails(store, 2, /reached maxmemory: free memory or raise the limit/, 'enqueue', 'nothing')
    await doctor(store, /^warn {2}redis +\d+ % of maxmemory is used/m, 0)
    await admin.config('SET', 'maxmemory', '0')
    const { code } = await errand(['enqueue', 'nothing', '--store', store], { cwd })
    assert.equal(code, 0)
  })

  test('Redis: doctor states durability, and warns of eviction and of nothing on disk', async () => {
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
    await doctor(
      url,
      /^warn {2}redis +maxmemory-policy is allkeys-lru: REDIS MAY THROW JOBS AWAY/m,
      0,
    )
    await doctor(url, /^warn {2}redis +Redis keeps nothing on disk/m, 0)
    await doctor(url, /^ok {4}durability +nothing survives a killed server/m, 0)
    await admin.config('SET', 'maxmemory-policy', 'noeviction')
    await admin.config('SET', 'appendonly', 'yes')
    await doctor(url, /^ok {4}durability +survives a killed server .*appendfsync everysec/m, 0)
  })
}
