/** Small things that every page is made of. */
import type { ComponentChildren } from 'preact'
import { isAway } from '../api.ts'
import type { Loaded } from '../data.ts'
import { to } from '../route.ts'
import { duration, exact, now, relative } from '../times.ts'
import type { State } from '../types.ts'

export function Badge({ state }: { readonly state: string }) {
  return <span class={`badge is-${state}`}>{state}</span>
}

/** A time, relative, with the exact one at hand. */
export function Time({ at }: { readonly at: string | null }) {
  if (at === null) return <span class="hush">–</span>
  const ms = Date.parse(at)
  if (!Number.isFinite(ms)) return <span class="hush">–</span>
  return (
    <time dateTime={at} title={exact(ms)}>
      {relative(ms, now.value)}
    </time>
  )
}

/** How long something took, or has taken until now. */
export function Span({
  from,
  to: end,
}: {
  readonly from: string | null
  readonly to: string | null
}) {
  if (from === null) return <span class="hush">–</span>
  const until = end === null ? now.value : Date.parse(end)
  return <span>{duration(Math.max(0, until - Date.parse(from)))}</span>
}

export function JobLink({
  id,
  children,
}: {
  readonly id: string
  readonly children?: ComponentChildren
}) {
  return (
    <a class={children === undefined ? 'mono' : undefined} href={to(['jobs', id])} title={id}>
      {children ?? `…${id.slice(-12)}`}
    </a>
  )
}

/** A name that anybody may have chosen: its direction does not leak, and a long one is cut. */
export function Name({ text }: { readonly text: string }) {
  return (
    <bdi class="name" title={text}>
      {text}
    </bdi>
  )
}

export function Empty({ children }: { readonly children: ComponentChildren }) {
  return <p class="empty">{children}</p>
}

function Failure({ error, retry }: { readonly error: Error; readonly retry?: () => void }) {
  return (
    <p class="failure" role="alert">
      {isAway(error) ? `${sentence(error.message)} The page tries again by itself.` : error.message}{' '}
      {retry && (
        <button type="button" class="plain" onClick={retry}>
          Try again
        </button>
      )}
    </p>
  )
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`
}

/** What was read, or how reading it stands. What is known stays while it is read anew. */
export function Show<T>({
  loaded,
  quiet = false,
  children,
}: {
  readonly loaded: Loaded<T>
  /** Whether nothing is shown before the first answer. */
  readonly quiet?: boolean
  readonly children: (data: T) => ComponentChildren
}) {
  const { data, error, reload } = loaded
  return (
    <>
      {error !== null && <Failure error={error} retry={reload} />}
      {data === undefined
        ? error === null &&
          !quiet && (
            <p class="hush" role="status">
              Loading…
            </p>
          )
        : children(data)}
    </>
  )
}

export function Section({
  title,
  aside,
  children,
}: {
  readonly title: ComponentChildren
  readonly aside?: ComponentChildren
  readonly children: ComponentChildren
}) {
  return (
    <section>
      <header class="row">
        <h2>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  )
}

/** A table that scrolls inside its own box on narrow screens. */
export function Table({
  label,
  head,
  numeric = [],
  children,
}: {
  readonly label: string
  readonly head: readonly ComponentChildren[]
  /** Columns of numbers, from 0. */
  readonly numeric?: readonly number[]
  readonly children: ComponentChildren
}) {
  return (
    <div class="scroll" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {head.map((one, index) => (
              <th key={index} scope="col" class={numeric.includes(index) ? 'number' : undefined}>
                {one}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  )
}

/** Facts as name and value; those without a value are left out. */
export function Facts({ of }: { readonly of: Readonly<Record<string, ComponentChildren>> }) {
  return (
    <dl class="facts">
      {Object.entries(of).map(
        ([name, value]) =>
          value !== null &&
          value !== undefined &&
          value !== '' && (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ),
      )}
    </dl>
  )
}

/** Which states each verb of an operator fits. */
export const verbStates = {
  cancel: ['blocked', 'scheduled', 'ready', 'running'],
  retry: ['failed', 'cancelled', 'discarded'],
  remove: ['blocked', 'scheduled', 'ready', 'completed', 'failed', 'cancelled', 'discarded'],
} as const satisfies Record<string, readonly State[]>

export type Verb = keyof typeof verbStates

export function fits(verb: Verb, state: State): boolean {
  return (verbStates[verb] as readonly State[]).includes(state)
}
