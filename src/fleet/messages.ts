/** What a worker and its isolated children say to each other: plain data, one job at a time. */
import type { Judged } from '../core/decide.ts'
import type { ModulePlace } from '../core/in-module.ts'
import type { LogLevel } from '../core/job.ts'
import type { Thrown } from './thrown.ts'

/** What a child is to load before it is ready. */
export interface Load {
  readonly task: string
  readonly place: ModulePlace
  readonly context: ModulePlace | 'default' | 'unnamed'
}

/** The fields of a job that its handler sees. */
export interface JobFields {
  readonly id: string
  readonly task: string
  readonly queue: string
  readonly priority: number
  readonly attempt: number
  readonly token: number
  readonly parent: string | null
  readonly group: string | null
  readonly tags: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  readonly schedule: string | null
  readonly plannedAt: number | null
  readonly createdAt: number
  readonly dueAt: number
  /** Failures so far. */
  readonly failures: number
}

export type ToChild =
  | ({ readonly kind: 'load' } & Load)
  | {
      readonly kind: 'run'
      readonly job: JobFields
      readonly input: unknown
      /** Whether the output is read as JSON, or goes through a schema first. */
      readonly outputAs: 'json' | 'value'
    }
  | { readonly kind: 'abort'; readonly reason: Thrown }
  /** What a call of the job returned. */
  | { readonly kind: 'answer'; readonly call: number; readonly value: unknown }
  /** What it rejected with. */
  | { readonly kind: 'refusal'; readonly call: number; readonly thrown: Thrown }
  | { readonly kind: 'end' }

/** The verbs of a job that wait for an answer. */
export type Verb = 'enqueue' | 'call' | 'add'

export type FromChild =
  /** It has loaded these tasks. With the form `task` it knows the task's own rules and wrap. */
  | { readonly kind: 'ready'; readonly tasks: readonly string[]; readonly form: Form }
  | { readonly kind: 'broken'; readonly thrown: Thrown }
  | { readonly kind: 'log'; readonly level: LogLevel; readonly text: string }
  | { readonly kind: 'progress'; readonly json: string }
  | {
      readonly kind: 'call'
      readonly call: number
      readonly verb: Verb
      readonly args: readonly unknown[]
    }
  | { readonly kind: 'returned'; readonly value: unknown }
  /** The output is none that can be stored. */
  | { readonly kind: 'unusable'; readonly thrown: Thrown }
  | {
      readonly kind: 'threw'
      readonly thrown: Thrown
      /** The number of the call whose rejection it is. */
      readonly call: number | null
      readonly judged: Judged | null
    }

export type Form = 'function' | 'task'
