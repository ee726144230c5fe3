/** Fills a file with jobs of large inputs. */
import { openApp, type Place } from '../kit/app.ts'
import { given } from '../kit/peer.ts'
import { fillWithLarge } from '../measures/large-inputs.ts'

const { place, jobs } = given<{ place: Place; jobs: number }>()
await fillWithLarge((ran) => openApp(place, ran), jobs)
process.disconnect?.()
