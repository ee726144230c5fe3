/** The process of one measurement: runs the case that it is told and sends the figures. */
import type { Setting } from './workload.ts'
import { workloads } from './workloads/index.ts'

const [workloadName, caseName = '', setting = ''] = process.argv.slice(2)
const measure = workloads.find(({ name }) => name === workloadName)?.cases[caseName]
if (measure === undefined) throw new Error(`no case ${String(workloadName)}/${caseName}`)
process.send?.(await measure(JSON.parse(setting) as Setting))
process.disconnect?.()
