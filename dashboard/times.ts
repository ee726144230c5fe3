/** Times and numbers as people read them. */
import { signal } from '@preact/signals'

/** The time of day, ten times a minute and while the page is seen. */
export const now = signal(Date.now())

setInterval(() => {
  if (!document.hidden) now.value = Date.now()
}, 1_000)

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const

/** `1 h 5 min`, `12 s`, `340 ms`: two units at most. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return '–'
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 10_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`
  let left = Math.floor(ms / 1_000) * 1_000
  const words: string[] = []
  for (const [unit, size] of units) {
    const n = Math.floor(left / size)
    if (n === 0 && words.length === 0) continue
    left -= n * size
    if (n > 0) words.push(`${n} ${unit}`)
    if (words.length === 2 || size === 1_000) break
  }
  return words.join(' ')
}

/** `3 min ago`, `in 2 h`. */
export function relative(at: number, from: number): string {
  const ms = at - from
  if (Math.abs(ms) < 1_000) return 'now'
  const text = duration(Math.floor(Math.abs(ms) / 1_000) * 1_000).replace(/\.\d (?=s)/, ' ')
  return ms < 0 ? `${text} ago` : `in ${text}`
}

const exactFormat = new Intl.DateTimeFormat(undefined, {
  dateStyle: 'medium',
  timeStyle: 'long',
})

/** The exact time in the reader's own zone. */
export function exact(at: number): string {
  return exactFormat.format(at)
}

const numbers = new Intl.NumberFormat('en')

export function number(n: number): string {
  return numbers.format(n)
}
