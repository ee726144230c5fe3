/** The types of `task()`: what it takes, and what follows from that for the compiler. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { FailureReport } from './enqueue-options.ts'
import type { Exec } from './exec.ts'
import type { InModule } from './in-module.ts'
import type { RunningJob } from './running-job.ts'
import type { Accepts, AnyTask, Task, TaskOptions } from './task.ts'
import type { Wrap } from './wrap.ts'

type Schemas<I, O> = { readonly output: O } & (I extends undefined
  ? { readonly input?: undefined }
  : { readonly input: I })

export interface Follows<Output> {
  readonly onSuccess?: OneOrSeveral<string | FollowerOf<Output>>
  readonly onFailure?: OneOrSeveral<string | Accepts<FailureReport>>
}

/** While the compiler has not seen `run` yet, the output is `unknown` to it, and any task will do. */
type FollowerOf<Output> = unknown extends Output ? AnyTask : Accepts<Output>
export type OneOrSeveral<T> = T | readonly T[]
type InOf<S extends StandardSchemaV1> = StandardSchemaV1.InferInput<S>
type OutOf<S extends StandardSchemaV1> = StandardSchemaV1.InferOutput<S>

/** `task()` for an app whose context is `Context`. */
export interface TaskMaker<Context> {
  /** With schemas for input and output. */
  <I extends StandardSchemaV1, O extends StandardSchemaV1>(
    definition: TaskOptions<InOf<I>> &
      Schemas<I, O> &
      Follows<OutOf<O>> & {
        readonly wrap?: Wrap<Context>
        readonly run?: Run<OutOf<I>, InOf<O>, Context, InOf<O>>
      },
  ): Task<InOf<I>, OutOf<I>, OutOf<O>, Context>
  /** With a schema for the input; the output is what `run` answers. */
  <I extends StandardSchemaV1, Output = unknown>(
    definition: TaskOptions<InOf<I>> &
      Follows<NoInfer<Output>> & {
        readonly input: I
        readonly output?: undefined
        readonly wrap?: Wrap<Context>
        readonly run?: Run<OutOf<I>, Output, Context>
      },
  ): Task<InOf<I>, OutOf<I>, Output, Context>
  /** With a schema for the output; the input is what `run` is annotated with. */
  <Input, O extends StandardSchemaV1>(
    definition: TaskOptions<NoInfer<Input>> &
      Follows<OutOf<O>> & {
        readonly input?: undefined
        readonly output: O
        readonly wrap?: Wrap<Context>
        readonly run?: Run<Input, InOf<O>, Context, InOf<O>>
      },
  ): Task<Input, Input, OutOf<O>, Context>
  /** Without schemas: types come from the annotation of `run`, or from type arguments; any JSON is taken. */
  <Input = undefined, Output = unknown>(
    definition: TaskOptions<NoInfer<Input>> &
      Follows<NoInfer<Output>> & {
        readonly input?: undefined
        readonly output?: undefined
        readonly wrap?: Wrap<Context>
        readonly run?: Run<Input, Output, Context>
      },
  ): Task<Input, Input, Output, Context>
  /** A program as the handler, with schemas for what it reads and writes. */
  <I extends StandardSchemaV1, O extends StandardSchemaV1>(
    definition: ProgramOptions<InOf<I>, OutOf<O>> & Schemas<I, O>,
  ): Task<InOf<I>, OutOf<I>, OutOf<O>, Context>
  /** A program with a schema for its input; what it writes is any JSON. */
  <I extends StandardSchemaV1, Output = unknown>(
    definition: ProgramOptions<InOf<I>, NoInfer<Output>> & AnyJson & { readonly input: I },
  ): Task<InOf<I>, OutOf<I>, Output, Context>
  /** A program with a schema for its input that writes text. */
  <I extends StandardSchemaV1>(
    definition: ProgramOptions<InOf<I>, string> & Schemas<I, 'text'>,
  ): Task<InOf<I>, OutOf<I>, string, Context>
  /** A program with a schema for what it writes. */
  <Input = unknown, O extends StandardSchemaV1 = StandardSchemaV1>(
    definition: ProgramOptions<NoInfer<Input>, OutOf<O>> & Schemas<undefined, O>,
  ): Task<Input, Input, OutOf<O>, Context>
  /** A program that writes text. */
  <Input = unknown>(
    definition: ProgramOptions<NoInfer<Input>, string> & Schemas<undefined, 'text'>,
  ): Task<Input, Input, string, Context>
  /** A program without schemas: it reads and writes any JSON. */
  <Input = unknown, Output = unknown>(
    definition: ProgramOptions<NoInfer<Input>, NoInfer<Output>> &
      AnyJson & { readonly input?: undefined },
  ): Task<Input, Input, Output, Context>
}

/** What runs a task: a function, or the name of one that a module exports. */
type Run<Input, Output, Context, Completed = unknown> =
  | ((input: Input, job: RunningJob<Context, Completed>) => Output | Promise<Output>)
  | InModule<(input: Input, job: RunningJob<Context, Completed>) => Output | Promise<Output>>

interface ProgramOptions<Input, Output>
  extends Omit<TaskOptions<Input>, 'isolate'>, Follows<Output> {
  /**
   * Runs a program: the input is JSON on its standard input, its standard error goes to the job's
   * log, and the exit code 0 completes the job.
   */
  readonly exec: Exec
}

interface AnyJson {
  readonly output?: 'json'
}
