/** Singletons: who owns each, since when, and whether its rounds succeed. */
import { call, Problem, segment } from '../api.ts'
import { useData } from '../data.ts'
import { Empty, Name, Show, Table, Time } from '../parts/basics.tsx'
import { attempt } from '../parts/notices.tsx'
import { may } from '../session.ts'
import type { Singleton, SingletonDetail } from '../types.ts'

export function Singletons() {
  const loaded = useData('singletons', readAll, { on: () => false, everyMs: 5_000 })
  return (
    <>
      <h1>Singletons</h1>
      <Show loaded={loaded}>
        {(singletons) =>
          singletons.length === 0 ? (
            <Empty>
              The manager knows no singleton: give <code>singletons</code> to{' '}
              <code>createErrand</code>.
            </Empty>
          ) : (
            <Table
              label="Singletons"
              head={['Singleton', 'Owner', 'Since', 'Alive', 'Success', '']}
            >
              {singletons.map((one) => (
                <tr key={one.name}>
                  <td>
                    <Name text={one.name} />
                  </td>
                  <td>
                    {one.error !== null ? (
                      <span class="failure">{one.error}</span>
                    ) : one.owner === null ? (
                      <span class="hush">nobody</span>
                    ) : (
                      <Name
                        text={`${one.owner.host}${one.owner.pid === null ? '' : ` · ${one.owner.pid}`}`}
                      />
                    )}
                  </td>
                  <td>
                    <Time at={one.owner?.since ?? null} />
                  </td>
                  <td>
                    <Time at={one.alive?.at ?? null} />
                  </td>
                  <td>
                    <Time at={one.success?.at ?? null} />
                  </td>
                  <td>
                    {may('operate') && (
                      <button type="button" class="plain" onClick={() => void trigger(one.name)}>
                        Run now
                      </button>
                    )}
                  </td>
                </tr>
              ))}
            </Table>
          )
        }
      </Show>
    </>
  )
}

async function readAll(signal: AbortSignal): Promise<readonly SingletonDetail[]> {
  const path = 'v1/singletons'
  const { singletons } = await call<{ singletons: readonly Singleton[] }>('GET', path, { signal })
  return Promise.all(
    singletons.map((one) =>
      call<SingletonDetail>('GET', `${path}/${segment(one.name)}`, { signal }).catch(
        (error: unknown) => withoutBeats(one, error),
      ),
    ),
  )
}

/** Its beats may lie on a server of their own, which is away: the others are shown all the same. */
function withoutBeats(one: Singleton, error: unknown): SingletonDetail {
  if (!(error instanceof Problem) || error.status < 500) throw error
  return { ...one, error: one.error ?? error.message, success: null, alive: null }
}

async function trigger(name: string): Promise<void> {
  await attempt(() => call('POST', `v1/singletons/${segment(name)}/trigger`), 'It is told.')
}
