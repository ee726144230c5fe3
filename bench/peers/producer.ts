/** Enqueues one job each 10 ms, and tells when it began each call. */
import { openApp, type Place } from '../kit/app.ts'
import { given, tell } from '../kit/peer.ts'
import { enqueuePaced } from '../kit/paced.ts'

const { place, jobs } = given<{ place: Place; jobs: number }>()
const app = openApp(place)
const sentAt = await enqueuePaced(app, jobs)
await app.errand.close()
await tell(sentAt)
process.disconnect?.()
