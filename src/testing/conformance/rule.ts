/** How a rule is written: a sentence, and a scene that proves it. */
import type { Rule, StoreHarness } from './harness.ts'
import { Scene } from './scene.ts'

/** Makes the rules of a group from their sentences. Each gets a scene on data of its own. */
export function rulesOf(
  group: string,
  sentences: Readonly<Record<string, (scene: Scene) => Promise<void>>>,
): readonly Rule[] {
  return Object.entries(sentences).map(([name, play]) => ({
    group,
    name,
    async run(harness: StoreHarness): Promise<void> {
      const fixture = await harness.create()
      try {
        await play(new Scene(fixture, harness))
      } finally {
        await fixture.dispose()
      }
    },
  }))
}
