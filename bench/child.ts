/** The process of one measurement: runs the case that it is told and sends the figures, or prints them when it was started by hand, as for a profile. */
import type { Setting } from './workload.ts'
import { workloads } from './workloads/index.ts'

const [workloadName, caseName = '', setting = ''] = process.argv.slice(2)
const measure = workloads.find(({ name }) => name === workloadName)?.cases[caseName]
if (measure === undefined) throw new Error(`no case ${String(workloadName)}/${caseName}`)
const figures = await measure(JSON.parse(setting) as Setting)
if (process.send === undefined) console.log(figures)
process.send?.(figures)
process.disconnect?.()
