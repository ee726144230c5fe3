/** The task whose jobs come by messages. None of them is run. */
import { task } from '../../src/index.ts'

export const storm = task<{ n: number }>({ name: 'storm' })
