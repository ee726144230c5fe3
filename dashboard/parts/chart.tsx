/** A line chart over time, drawn by uPlot in the colours of the page. */
import { useEffect, useRef } from 'preact/hooks'
import UPlot from 'uplot'

export interface Line {
  readonly label: string
  /** The name of a colour of the style sheet. */
  readonly colour: string
  /** One value for each time; null for none. */
  readonly values: readonly (number | null)[]
}

interface Props {
  readonly title: string
  /** Seconds since 1970, rising. */
  readonly times: readonly number[]
  readonly lines: readonly Line[]
  readonly show: (value: number) => string
}

const height = 160

export function Chart({ title, times, lines, show }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<UPlot | null>(null)
  const labels = lines.map(({ label }) => label).join()
  useEffect(() => {
    const { current: at } = box
    if (at === null) return
    const colour = (name: string): string => colourOf(at, name)
    const axis = {
      stroke: colour('hush'),
      grid: { stroke: colour('line'), width: 1 },
      ticks: { show: false },
      font: '12px system-ui, sans-serif',
    }
    const made = new UPlot(
      {
        width: Math.max(200, at.clientWidth),
        height,
        cursor: { drag: { x: false, y: false } },
        legend: { live: true },
        scales: {
          y: { range: (_plot, _least, most) => [0, (most ?? 0) > 0 ? (most ?? 1) * 1.1 : 1] },
        },
        axes: [axis, { ...axis, size: 60, values: (_plot, ticks) => ticks.map(show) }],
        series: [
          {},
          ...lines.map((line) => ({
            label: line.label,
            stroke: colour(line.colour),
            width: 2,
            points: { show: false },
            value: (_plot: UPlot, value: number | null) => (value === null ? '–' : show(value)),
          })),
        ],
      },
      dataOf(times, lines),
      at,
    )
    plot.current = made
    const resized = new ResizeObserver(() =>
      made.setSize({ width: Math.max(200, at.clientWidth), height }),
    )
    resized.observe(at)
    return () => {
      resized.disconnect()
      made.destroy()
      plot.current = null
    }
  }, [labels])
  useEffect(() => plot.current?.setData(dataOf(times, lines)), [times, lines])
  return (
    <figure>
      <figcaption>{title}</figcaption>
      <div ref={box} class="chart" role="img" aria-label={described(title, lines, show)} />
    </figure>
  )
}

/** A colour of the style sheet as the reader's scheme has it; a canvas knows no variables. */
function colourOf(box: HTMLElement, name: string): string {
  const probe = document.createElement('i')
  probe.style.color = `var(--${name})`
  box.append(probe)
  const { color } = getComputedStyle(probe)
  probe.remove()
  return color
}

function dataOf(times: readonly number[], lines: readonly Line[]): UPlot.AlignedData {
  return [[...times], ...lines.map(({ values }) => [...values])]
}

/** What a chart shows, for those who do not see it: the last value of each line. */
function described(title: string, lines: readonly Line[], show: Props['show']): string {
  const lasts = lines.map(({ label, values }) => {
    const last = values.findLast((value) => value !== null)
    return `${label} ${last === undefined || last === null ? 'unknown' : show(last)}`
  })
  return `${title}: ${lasts.join(', ')}`
}
