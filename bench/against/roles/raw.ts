import { tell } from '../../kit/peer.ts'
import type { RawPart } from '../part.ts'
import { rawCycles } from '../raw/index.ts'

export async function cycle({ cycle, url, jobs }: RawPart): Promise<void> {
  await tell(await rawCycles[cycle](url, jobs))
}
