/** A module of tasks, for tests of what loads them. */
import { task, type Task } from '../core/task.ts'

export const greet: Task<string, string, string, unknown> = task({
  name: 'sample.greet',
  run: (name: string) => `Hello ${name}`,
})

export const double: Task<number, number, number, unknown> = task({
  name: 'sample.double',
  queue: 'sums',
  run: (n: number) => n * 2,
})
