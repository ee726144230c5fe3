/** How many jobs a piece measures, chosen so that it takes two to four seconds. */

/** At a tenth, for trying, a whole number of batches. */
export function sizer(isQuick: boolean): (jobs: number) => number {
  return (jobs) => (isQuick ? Math.max(1_000, Math.round(jobs / 10_000) * 1_000) : jobs)
}

export type Sizer = ReturnType<typeof sizer>

export const millions = 1_000_000
/** Of a million waiting jobs, those whose rate is taken. */
export const headOfMillion = 60_000
export const fleetJobs = 200_000
export const queuesUsedOnce = 100_000
export const largeInputs = 4_000
export const schedules = 10_000
export const batchJobs = 100_000
export const fanInNodes = 10_000
export const bulkJobs = 100_000
/** Of one drain; a piece has eleven. */
export const needsJobs = 50_000
/** Of one drain; a piece has eleven. */
export const followedJobs = 20_000
export const chainLinks = 1_000
export const childrenOfOne = 1_000
export const claims = 300
export const pickUps = 500
