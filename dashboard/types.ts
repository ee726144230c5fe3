/** What the API sends, as far as the page reads it. `/openapi.json` describes all of it. */

export const states = [
  'ready',
  'running',
  'scheduled',
  'blocked',
  'completed',
  'failed',
  'cancelled',
  'discarded',
] as const

export type State = (typeof states)[number]
type Counts = Readonly<Partial<Record<State, number>>>
export type Scope = 'read' | 'enqueue' | 'work' | 'operate' | 'admin'

export interface Session {
  /** The id of the token behind the session; null where none is needed. */
  readonly token: string | null
  readonly scopes: readonly Scope[]
  /** The queues that the session may see; null for all. */
  readonly queues: readonly string[] | null
  /** Whether the session came from a sign-in that can be ended. */
  readonly signedIn: boolean
}

export interface KeptError {
  readonly type: string
  readonly message: string
  readonly stack: string | null
  readonly code: string | null
  readonly attempt: number
  readonly at: string
}

interface Run {
  readonly attempt: number
  readonly token: number
  readonly worker: string
  readonly startedAt: string | null
  readonly endedAt: string
  readonly outcome: string
  readonly error: KeptError | null
}

export interface Job {
  readonly id: string
  readonly task: string
  readonly queue: string
  readonly state: State
  readonly priority: number
  readonly input?: unknown
  readonly output?: unknown
  readonly errors: readonly KeptError[]
  readonly runs: readonly Run[]
  readonly reason: string | null
  readonly attempt: number
  readonly attempts: number
  readonly failures: number
  readonly postpones: number
  readonly losses: number
  readonly interruptions: number
  readonly token: number
  readonly key: string | null
  readonly parent: string | null
  readonly group: string | null
  readonly tags: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  readonly schedule: string | null
  readonly plannedAt: string | null
  readonly worker: string | null
  readonly progress?: unknown
  readonly cancelAsked: boolean
  readonly createdAt: string
  readonly dueAt: string
  readonly deadlineAt: string | null
  readonly startedAt: string | null
  readonly finishedAt: string | null
  readonly expiresAt: string | null
  readonly leaseUntil: string | null
  readonly codec: string | null
}

export interface JobPage {
  readonly jobs: readonly Job[]
  readonly next: string | null
  /** How many jobs a search looked at. */
  readonly scanned?: number
}

export interface LogLine {
  readonly at: string
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly text: string
}

export interface Queue {
  readonly name: string
  readonly paused: boolean
  readonly counts: Counts
  readonly oldestReadyAt: string | null
}

export interface QueuePage {
  readonly queues: readonly Queue[]
  /** How many there are in all that were asked for. */
  readonly found: number
}

/** How all queues stand together. */
export interface Standing {
  readonly counts: Counts
  readonly history: readonly HistoryPoint[]
}

interface Durations {
  readonly count: number
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

/** What came of all jobs in one minute, and how their queues stood. */
export interface HistoryPoint {
  readonly at: string
  readonly all: {
    readonly ended: Readonly<Record<string, number>>
    readonly wait: Durations
    readonly run: Durations
  }
  readonly depth: {
    readonly ready: number
    readonly running: number
    readonly oldestMs: number
  }
}

/** What workers were told. */
export interface Order {
  readonly verb: 'pause' | 'drain' | 'stop' | 'restart'
  readonly target: Readonly<Record<string, string | true>>
  readonly at: string | null
  readonly by: string | null
  readonly note: string | null
}

/** How a source of messages is doing in the process of a worker. */
export interface SourceState {
  readonly name: string
  readonly state: 'connecting' | 'connected' | 'stopped'
  readonly failures: number
  readonly storeFailures: number
  readonly lastError: string | null
  readonly stored: number
  readonly known: number
  readonly parked: number
}

export interface Worker {
  readonly id: string
  readonly host: string
  readonly pid: number
  readonly version: string
  readonly queues: readonly string[]
  readonly slots: number
  readonly running: readonly string[]
  readonly group: string | null
  /** Why it claims nothing for now. */
  readonly paused: readonly string[]
  readonly process: { readonly index: number; readonly of: number } | null
  readonly sources: readonly SourceState[]
  readonly startedAt: string
  readonly lastSeenAt: string
  readonly state: 'running' | 'stopped' | 'lost'
}

export interface Finding {
  readonly check: string
  readonly status: 'ok' | 'warn' | 'fail'
  readonly text: string
  readonly advice?: string
}

export interface Schedule {
  readonly name: string
  readonly when: string
  readonly task: string | null
  readonly queue: string | null
  readonly overlap: string
  readonly owner: string
  readonly edited: boolean
  readonly declared: boolean
  readonly paused: { readonly at: string; readonly note: string } | null
  readonly next: string | null
  readonly fired: number
  readonly last: readonly {
    readonly plannedAt: string
    readonly firedAt: string
    readonly job: string | null
    readonly state: string
  }[]
  readonly lagMs: number
}

export interface WorkflowRun {
  readonly id: string
  readonly workflow: string
  readonly total: number | null
  readonly state: State
  readonly reason: string | null
  readonly createdAt: string
  readonly finishedAt: string | null
}

export interface WorkflowNode {
  readonly id: string
  readonly name: string
  readonly task: string
  readonly state: State
  readonly reason: string | null
  readonly startedAt: string | null
  readonly finishedAt: string | null
  readonly needs: readonly { readonly id: string; readonly onFailed: string }[]
  readonly isEnd: boolean
}

export interface WorkflowDetail extends WorkflowRun {
  readonly counts: Counts
  readonly nodes: readonly WorkflowNode[]
}

export interface Singleton {
  readonly name: string
  readonly owner: {
    readonly host: string
    readonly pid: number | null
    readonly since: string | null
    readonly token: number | null
  } | null
  readonly error: string | null
}

export interface SingletonDetail extends Singleton {
  readonly success: { readonly at: string; readonly host: string } | null
  readonly alive: { readonly at: string; readonly host: string } | null
}

export interface TaskInfo {
  readonly name: string
  readonly aliases: readonly string[]
  readonly queue: string
  readonly inputSchema: JsonSchema | boolean | null
}

/** A workflow that can be started here. */
export interface WorkflowInfo {
  readonly name: string
  readonly inputSchema: JsonSchema | boolean | null
}

/** A JSON Schema, as far as a form is made of it. */
export interface JsonSchema {
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly description?: string
  readonly default?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly format?: string
}

export interface Token {
  readonly id: string
  readonly name: string | null
  readonly scopes: readonly Scope[]
  readonly queues: readonly string[] | null
  readonly createdAt: string
}
