/** A bar on stderr that shows how far long work is; silent where nobody watches. */
import { formatMs } from '../core/duration.ts'
import { inLine } from '../core/shown.ts'

const barWidth = 24
const paintEveryMs = 100
/** Work that is over sooner is not worth a bar. */
const showAfterMs = 300

export interface ProgressBar {
  update(done: number): void
  /** Wipes the bar away. */
  end(): void
}

/** Shows work of `total` pieces, or of unknown length when it is null. */
export function progressBar(label: string, total: number | null): ProgressBar {
  const stream = process.stderr
  const shown = inLine(label)
  if (!stream.isTTY) return { update: () => {}, end: () => {} }
  const startedAt = performance.now()
  let paintedAt = startedAt + showAfterMs - paintEveryMs
  let isPainted = false
  return {
    update(done) {
      const now = performance.now()
      if (now - paintedAt < paintEveryMs) return
      paintedAt = now
      isPainted = true
      stream.write(
        `\r\u001B[2K${progressLine(shown, done, total, now - startedAt).slice(0, stream.columns - 1)}`,
      )
    },
    end() {
      if (isPainted) stream.write('\r\u001B[2K')
    },
  }
}

/** One line of progress: bar, share, count, rate and the time that is left. What was done before the start counts for no rate. */
export function progressLine(
  label: string,
  done: number,
  total: number | null,
  elapsedMs: number,
  doneBefore = 0,
): string {
  const rate = elapsedMs > 0 ? (Math.max(0, done - doneBefore) / elapsedMs) * 1_000 : 0
  const rateText = `${Math.round(rate).toLocaleString('en')}/s`
  if (total === null) return `${label}  ${done.toLocaleString('en')}  ${rateText}`
  const share = total === 0 ? 1 : Math.min(1, done / total)
  const filled = Math.floor(share * barWidth)
  const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled)
  const left = rate > 0 && done < total ? `  ${formatMs(((total - done) / rate) * 1_000)} left` : ''
  const counted = `${done.toLocaleString('en')}/${total.toLocaleString('en')}`
  return `${label} ${bar} ${Math.floor(share * 100)} %  ${counted}  ${rateText}${left}`
}
