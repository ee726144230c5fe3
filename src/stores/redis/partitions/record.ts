/** Records over several partitions: each lies where the hash of its key says. */
import type { PutAnswer, RecordsQuery, RecordWrite, StoredRecord } from '../../../store/records.ts'
import { gathered } from '../pages.ts'
import { byKey, getRecords, listRecords, putRecords } from '../records.ts'
import type { Answered } from './partition.ts'
import type { Spread } from './place.ts'

export async function putRecordsSpread(
  spread: Spread,
  writes: readonly RecordWrite[],
): Promise<Answered<PutAnswer[]>> {
  let hinted = 0
  const answer = await spread.share(
    writes,
    ({ key }) => spread.ofText(key),
    async (partition, share) => {
      const part = await putRecords(partition, share)
      hinted |= part.hinted
      return part.answer
    },
  )
  return { hinted, answer }
}

export async function getRecordsSpread(
  spread: Spread,
  keys: readonly string[],
): Promise<(string | null)[]> {
  return spread.share(keys, (key) => spread.ofText(key), getRecords)
}

/** Lists the records of all partitions in their common order. */
export async function listRecordsSpread(
  spread: Spread,
  { prefix, after, limit }: RecordsQuery,
): Promise<StoredRecord[]> {
  const parts = await Promise.all(
    spread.all.map((partition) =>
      gathered<StoredRecord>(limit, (last, most) =>
        listRecords(partition, { prefix, after: last?.key ?? after, limit: most }),
      ),
    ),
  )
  const [first = []] = parts
  return spread.isSingle ? first : parts.flat().sort(byKey).slice(0, limit)
}
