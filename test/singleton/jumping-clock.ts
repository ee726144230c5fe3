/** For `node --import`: a wall clock that is apart from the true one by the milliseconds in a file, in every thread. */
import { readFileSync } from 'node:fs'

const file = process.env['JUMPING_CLOCK_FILE'] ?? ''
const trueNow = Date.now

Date.now = () => trueNow() + Number(readFileSync(file, 'utf8'))
