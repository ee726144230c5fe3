/** The sources of an app: what of them works in this process, and how it is doing. */
import type { Client } from '../client/client.ts'
import { ErrandError } from '../core/errors.ts'
import { cutText } from '../core/text.ts'
import { Presence } from '../keeper/presence.ts'
import { refuseInThread } from '../loops/in-thread.ts'
import { keepAlive } from '../loops/keep-alive.ts'
import { inRootContext } from '../loops/root-context.ts'
import type { SourceRecord } from '../store/registry.ts'
import { Feed, type SourceStatus } from './feed.ts'
import { readSources } from './settings.ts'
import type { Source } from './source.ts'

/** The sources of an app in this process. Any number of processes may run them beside each other. */
export interface Sources {
  /** The names of all that are configured. */
  readonly names: readonly string[]
  /** Those that were started here; none before. */
  readonly status: readonly SourceStatus[]
  /**
   * Starts all of them. They connect in the background, and keep trying until they are stopped, whatever happens to their brokers and the store.
   * Throws `closed` when they were started before.
   */
  start(): void
  /** Pulls no more, stores what is held or gives it back, and closes the connections. Resolves within 30 s. */
  stop(): Promise<void>
}

/** Bytes of an error in the record of a process. */
const mostErrorBytes = 500

/**
 * Makes the sources of an app. `isTold` says whether a worker or keeper of the app writes a record of this process, which
 * has the sources in it. Throws `invalid-option`.
 */
export function createSources(
  client: Client,
  sources: readonly Source[],
  isTold: () => boolean,
): Sources {
  const settings = readSources(sources, 'createErrand().sources')
  let feeds: readonly Feed[] | null = null
  let presence: Presence | null = null
  let release = (): void => undefined
  let stopping: Promise<void> | null = null

  const stop = async (): Promise<void> => {
    try {
      await Promise.all((feeds ?? []).map((feed) => feed.stop()))
      await presence?.stop()
    } finally {
      release()
    }
  }
  return {
    names: settings.map(({ name }) => name),
    get status() {
      return (feeds ?? []).map((feed) => feed.status)
    },
    start() {
      if (feeds !== null || stopping !== null)
        throw new ErrandError('closed', 'The sources of an app start once.')
      refuseInThread('A source')
      feeds = settings.map((one) => new Feed(client, one))
      if (feeds.length === 0) return
      release = keepAlive()
      client.app.sourcesNow = () => (feeds ?? []).map(({ status }) => recordOf(status))
      const told = new Presence(client.app, isTold)
      presence = told
      inRootContext(() => {
        feeds?.forEach((feed) => feed.start())
        told.start()
      })
    },
    stop: () => (stopping ??= inRootContext(stop)),
  }
}

function recordOf({ held: _held, lastError, ...status }: SourceStatus): SourceRecord {
  return { ...status, lastError: lastError === null ? null : cutText(lastError, mostErrorBytes) }
}
