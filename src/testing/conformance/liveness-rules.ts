/** What every keeper of liveness does, as rules for any test runner: see `Liveness`. Records keep whole seconds. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { Beat, Liveness } from '../../singleton/liveness/liveness.ts'
import type { Rule } from './harness.ts'

/** Makes clients of one place for beats. */
export interface LivenessHarness {
  /** The writer of a rule. */
  open(): Promise<Liveness>
  /** A reader, as another process would have, of what that writer wrote. */
  another(): Promise<Liveness>
}

const at = 1_790_000_000_000

/** Every rule of keepers of liveness. */
export const livenessRules: readonly Rule<LivenessHarness>[] = rulesOf({
  'what was never written is null': async (writer, reader) => {
    await writer.write(beatOf(randomUUID()))
    assert.deepEqual(await reader.read(randomUUID()), { success: null, alive: null })
  },

  'a beat is read by others, with its time and host': async (writer, reader) => {
    const name = randomUUID()
    await writer.write(beatOf(name))
    assert.deepEqual(await reader.read(name), { success: { at, host: 'a' }, alive: null })
    assert.deepEqual(await writer.read(name), { success: { at, host: 'a' }, alive: null })
  },

  'beats of the two kinds lie apart, and each replaces the last of its kind': async (
    writer,
    reader,
  ) => {
    const name = randomUUID()
    await writer.write(beatOf(name))
    await writer.write(beatOf(name, { kind: 'alive', at: at + 1_000 }))
    await writer.write(beatOf(name, { kind: 'alive', at: at + 2_000, host: 'b' }))
    assert.deepEqual(await reader.read(name), {
      success: { at, host: 'a' },
      alive: { at: at + 2_000, host: 'b' },
    })
  },

  'beats of singletons lie apart, whatever characters their names have': async (writer, reader) => {
    const names = ['a', 'a/b', 'ä ?%{}#'].map((name) => `${randomUUID()} ${name}`)
    for (const [i, name] of names.entries())
      await writer.write(beatOf(name, { at: at + i * 1_000 }))
    for (const [i, name] of names.entries())
      assert.equal((await reader.read(name)).success?.at, at + i * 1_000)
  },
})

function beatOf(singleton: string, change: Partial<Beat> = {}): Beat {
  return { singleton, kind: 'success', at, host: 'a', ...change }
}

function rulesOf(
  sentences: Readonly<Record<string, (writer: Liveness, reader: Liveness) => Promise<void>>>,
): readonly Rule<LivenessHarness>[] {
  return Object.entries(sentences).map(([name, play]) => ({
    group: 'liveness',
    name,
    async run(harness: LivenessHarness): Promise<void> {
      const writer = await harness.open()
      const reader = await harness.another()
      try {
        await play(writer, reader)
      } finally {
        await reader.close()
        await writer.close()
      }
    },
  }))
}
