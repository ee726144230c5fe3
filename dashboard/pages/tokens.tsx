/** Tokens: see, make, revoke. */
import { useEffect } from 'preact/hooks'
import { call, segment } from '../api.ts'
import { useData } from '../data.ts'
import { Empty, Name, Section, Show, Table, Time } from '../parts/basics.tsx'
import { fieldOf } from '../fields.ts'
import { confirm } from '../parts/dialog.tsx'
import { MadeToken } from '../parts/made-token.tsx'
import { attempt } from '../parts/notices.tsx'
import { madeToken, session } from '../session.ts'
import type { Scope, Token } from '../types.ts'

const scopes: readonly (readonly [Scope, string])[] = [
  ['read', 'see jobs, queues, workers'],
  ['enqueue', 'add jobs'],
  ['work', 'run jobs'],
  ['operate', 'cancel, retry, remove, pause'],
  ['admin', 'make and revoke tokens'],
]

export function Tokens() {
  const loaded = useData(
    'tokens',
    (signal) => call<{ tokens: readonly Token[] }>('GET', 'v1/tokens', { signal }),
    { on: () => false, everyMs: 0 },
  )
  useEffect(
    () => () => {
      if (session.value !== 'needed') madeToken.value = null
    },
    [],
  )
  const revoke = async ({ id, name }: Token): Promise<void> => {
    const text = 'Who uses it is refused within two seconds.'
    if (!(await confirm(`Revoke ${name ?? id}?`, text, 'Revoke'))) return
    await attempt(() => call('DELETE', `v1/tokens/${segment(id)}`), 'It is revoked.')
    loaded.reload()
  }
  return (
    <>
      <h1>Tokens</h1>
      <Section title="Make a token">
        <form
          onSubmit={(event) => {
            event.preventDefault()
            const form = event.currentTarget
            const data = new FormData(form)
            const name = fieldOf(data, 'name')
            const queues = fieldOf(data, 'queues')
              .split(/[\s,]+/)
              .filter(Boolean)
            const body = {
              scopes: data.getAll('scope'),
              ...(name === '' ? {} : { name }),
              ...(queues.length === 0 ? {} : { queues }),
            }
            void attempt(async () => {
              const { token } = await call<{ token: string }>('POST', 'v1/tokens', { body })
              madeToken.value = token
              form.reset()
              loaded.reload()
            })
          }}
        >
          <fieldset>
            <legend>It may</legend>
            {scopes.map(([scope, words]) => (
              <label key={scope} class="field check">
                <input type="checkbox" name="scope" value={scope} />
                <span>
                  {scope} <small class="hush">{words}</small>
                </span>
              </label>
            ))}
          </fieldset>
          <div class="fields">
            <label class="field">
              Name
              <input name="name" autocomplete="off" />
            </label>
            <label class="field">
              Only on these queues
              <input name="queues" autocomplete="off" placeholder="all" />
            </label>
            <button type="submit" class="main">
              Make
            </button>
          </div>
        </form>
        <MadeToken />
      </Section>
      <Show loaded={loaded}>
        {({ tokens }) =>
          tokens.length === 0 ? (
            <Empty>No token exists: only programs of this machine are let in.</Empty>
          ) : (
            <Table label="Tokens" head={['Token', 'Scopes', 'Queues', 'Made', '']}>
              {tokens.map((token) => (
                <tr key={token.id}>
                  <td>
                    {token.name !== null && <Name text={token.name} />}{' '}
                    <code class="hush">{token.id}</code>
                  </td>
                  <td>{token.scopes.join(', ')}</td>
                  <td>
                    <Name text={token.queues?.join(', ') ?? 'all'} />
                  </td>
                  <td>
                    <Time at={token.createdAt} />
                  </td>
                  <td>
                    <button type="button" class="danger" onClick={() => void revoke(token)}>
                      Revoke
                    </button>
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
