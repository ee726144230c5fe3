/** Each task with its endpoint: its schema, a form that calls it, and the same call for `curl`. */
import { useState } from 'preact/hooks'
import { call, segment, urlOf } from '../api.ts'
import { useData } from '../data.ts'
import { Empty, JobLink, Name, Section, Show } from '../parts/basics.tsx'
import { Find } from '../parts/find.tsx'
import { JsonView } from '../parts/json-view.tsx'
import { SchemaForm } from '../parts/schema-form.tsx'
import { shortJson } from '../json.ts'
import { to } from '../route.ts'
import { may } from '../session.ts'
import type { TaskInfo } from '../types.ts'

export function ApiPage({ task }: { readonly task: string | null }) {
  const [find, setFind] = useState('')
  const loaded = useData(
    'tasks',
    (signal) => call<{ tasks: readonly TaskInfo[] }>('GET', 'v1/tasks', { signal }),
    { on: () => false, everyMs: 10_000 },
  )
  return (
    <>
      <h1>API</h1>
      <p>
        The whole API is described in <a href="openapi.json">openapi.json</a>. Each task has an
        endpoint of its own:
      </p>
      <Show loaded={loaded}>
        {({ tasks }) => {
          if (tasks.length === 0)
            return <Empty>No worker has registered a task yet. Start one: errand worker</Empty>
          const one = tasks.find(({ name }) => name === task)
          return (
            <>
              {tasks.length > 10 && <Find text={find} onChange={setFind} />}
              <div class="sides">
                <ul class="plainlist">
                  {tasks
                    .filter(({ name }) => name.includes(find))
                    .slice(0, 200)
                    .map(({ name }) => (
                      <li key={name}>
                        <a
                          href={to(['api', name])}
                          aria-current={name === task ? 'true' : undefined}
                        >
                          <Name text={name} />
                        </a>
                      </li>
                    ))}
                </ul>
                {one === undefined ? (
                  <p class="hush">Choose a task.</p>
                ) : (
                  <Endpoint key={one.name} task={one} />
                )}
              </div>
            </>
          )
        }}
      </Show>
    </>
  )
}

function Endpoint({ task: { name, queue, inputSchema } }: { readonly task: TaskInfo }) {
  const [added, setAdded] = useState<readonly string[]>([])
  const path = `v1/queues/${segment(queue)}/tasks/${segment(name)}/jobs`
  const url = urlOf(path).href
  return (
    <div>
      <Section title={<Name text={name} />}>
        <p>
          <code>POST {url}</code>
        </p>
        {inputSchema !== null && typeof inputSchema === 'object' && (
          <details>
            <summary>Schema of the input</summary>
            <JsonView label="The schema" value={inputSchema} />
          </details>
        )}
        <pre tabIndex={0} aria-label="The call for curl">
          {`curl -X POST ${quoted(url)} \\\n  -H "Authorization: Bearer $ERRAND_TOKEN" \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(shortJson(exampleOf(inputSchema), 2_000))}`}
        </pre>
      </Section>
      {may('enqueue') && (
        <Section title="Try it">
          <SchemaForm
            schema={inputSchema}
            action="Add a job"
            send={async (input) => {
              const { id } = await call<{ id: string }>('POST', path, { body: input })
              setAdded([id, ...added].slice(0, 10))
            }}
          />
          <ul class="plainlist" aria-live="polite">
            {added.map((id) => (
              <li key={id}>
                Added <JobLink id={id} />
              </li>
            ))}
          </ul>
        </Section>
      )}
    </div>
  )
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** A value of the right shape, as far as the schema says. */
function exampleOf(schema: TaskInfo['inputSchema'], depth = 0): unknown {
  if (schema === null || typeof schema === 'boolean' || depth > 4) return {}
  if (schema.default !== undefined) return schema.default
  if (schema.enum !== undefined) return schema.enum[0]
  const [type = 'object'] = [schema.type].flat()
  switch (type) {
    case 'string':
      return schema.format === 'date-time' ? '2026-01-01T00:00:00Z' : 'text'
    case 'integer':
    case 'number':
      return schema.minimum ?? 1
    case 'boolean':
      return true
    case 'array':
      return []
    default: {
      const properties = Object.entries(schema.properties ?? {})
      return Object.fromEntries(properties.map(([key, one]) => [key, exampleOf(one, depth + 1)]))
    }
  }
}
