/** A slot of a cluster that moves to another master, as `redis-cli --cluster reshard` moves it. */
import type { RedisServer } from '../redis-server.ts'
import { asked } from './asked.ts'
import { draw, type Random } from './random.ts'

const keysAtOnce = 20
const migrateMs = 5_000

/** Moves the slot of a key from its master to another one; resolves when all nodes have been told. */
export async function moveSlot(
  servers: readonly RedisServer[],
  key: string,
  random: Random,
): Promise<void> {
  const masters = (await Promise.all(servers.map(masterOf))).filter((one) => one !== null)
  const [some] = masters
  if (some === undefined) throw new Error('the cluster has no master')
  const slot = await asked(some.port, (client) => client.cluster('KEYSLOT', key))
  const from = masters.find(({ ranges }) => ranges.some(([a, b]) => slot >= a && slot <= b))
  const to = draw(
    random,
    masters.filter((one) => one !== from),
  )
  if (from === undefined || to === undefined) throw new Error('the slot has nowhere to go')
  await asked(to.port, (client) => client.cluster('SETSLOT', slot, 'IMPORTING', from.id))
  await asked(from.port, (client) => client.cluster('SETSLOT', slot, 'MIGRATING', to.id))
  await asked(from.port, async (client) => {
    for (;;) {
      const keys = await client.cluster('GETKEYSINSLOT', slot, keysAtOnce)
      if (keys.length === 0) return
      const place = ['127.0.0.1', to.port, '', 0, migrateMs] as const
      await client.call('MIGRATE', ...place, 'KEYS', ...keys)
    }
  })
  for (const { port } of [to, from, ...masters])
    await asked(port, (client) => client.cluster('SETSLOT', slot, 'NODE', to.id))
}

interface Master {
  readonly port: number
  readonly id: string
  readonly ranges: readonly (readonly [from: number, to: number])[]
}

/** What a server says of itself; null when it is no master. */
async function masterOf({ port }: RedisServer): Promise<Master | null> {
  const nodes = String(await asked(port, (client) => client.cluster('NODES')))
  const own = nodes.split('\n').find((line) => line.includes('myself'))
  const [id = '', , flags = '', , , , , , ...ranges] = (own ?? '').split(' ')
  if (!flags.includes('master')) return null
  return {
    port,
    id,
    ranges: ranges
      .filter((range) => !range.startsWith('['))
      .map((range) => {
        const [from = '', to = from] = range.split('-')
        return [Number(from), Number(to)] as const
      }),
  }
}
