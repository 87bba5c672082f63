/** A small curve of numbers: where it began, where it is, and its course between. */
import type { ElementOf } from '@/element'

const WIDTH = 240
const HEIGHT = 64
const EDGE = 4

export function Curve({ props }: ElementOf<'Curve'>) {
  const { label, values } = props
  const first = values[0]
  const last = values[values.length - 1]
  if (first === undefined || last === undefined) return null
  const words = `${label}: from ${short(first)} to ${short(last)} in ${values.length} steps`
  return (
    <figure className="flex min-w-0 flex-col gap-1">
      <figcaption className="flex items-baseline justify-between gap-2 text-sm">
        <span className="truncate text-muted">{label}</span>
        <span className="font-mono tabular-nums">{short(last)}</span>
      </figcaption>
      <svg
        role="img"
        aria-label={words}
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        className="h-16 w-full rounded-md bg-sunken text-accent"
      >
        <polyline
          points={points(values)}
          fill="none"
          stroke="currentColor"
          strokeWidth="2"
          strokeLinejoin="round"
          strokeLinecap="round"
          vectorEffect="non-scaling-stroke"
        />
      </svg>
      <span aria-hidden className="flex justify-between text-xs text-muted tabular-nums">
        <span>least {short(Math.min(...values))}</span>
        <span>most {short(Math.max(...values))}</span>
      </span>
    </figure>
  )
}

/** The line's points; a curve of one value is level. */
export function points(values: number[]): string {
  const least = Math.min(...values)
  const span = Math.max(...values) - least
  const all = values.length === 1 ? [...values, ...values] : values
  return all
    .map((value, place) => {
      const x = EDGE + ((WIDTH - 2 * EDGE) * place) / (all.length - 1)
      const part = span > 0 ? (value - least) / span : 0.5
      return `${x.toFixed(1)},${(HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * part).toFixed(1)}`
    })
    .join(' ')
}

function short(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)
}
