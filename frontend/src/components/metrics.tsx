/** Numbers of a run: throughput, average, median, 99th percentile, by Player, and resources; live. */
import { useEffect, useState } from 'react'
import type { ElementOf } from '@/element'
import { usePage, useRun } from '@/store/context'
import { playerTitle, seconds, size } from '@/lib/words'

interface Times {
  average?: number | null
  p50?: number | null
  p99?: number | null
}

interface PlayerNumbers extends Times {
  calls?: number
  state?: string
  memory?: number
}

/** What is known of a Player depends on the host; a column that would be empty is left out. */
const COLUMNS: { title: string; show: (numbers: PlayerNumbers) => string | undefined }[] = [
  { title: 'Calls', show: ({ calls }) => calls?.toString() },
  { title: 'Average', show: ({ average }) => (average == null ? undefined : seconds(average)) },
  { title: 'Median', show: ({ p50 }) => (p50 == null ? undefined : seconds(p50)) },
  { title: '99th percentile', show: ({ p99 }) => (p99 == null ? undefined : seconds(p99)) },
  { title: 'Memory', show: ({ memory }) => (memory ? size(memory) : undefined) },
  { title: 'State', show: ({ state }) => state },
]

interface MetricsAnswer extends Times {
  throughput?: number | null
  players?: Record<string, PlayerNumbers>
  resources?: Record<string, { used?: number; total?: number } | number>
}

export function Metrics({ props }: ElementOf<'Metrics'>) {
  const page = usePage()
  const run = useRun(props.run)
  const status = run?.status
  const [metrics, setMetrics] = useState<MetricsAnswer | null>(null)
  useEffect(() => {
    let current = true
    page.connection
      .request<MetricsAnswer>('getMetrics', { run: props.run })
      .then((answer) => {
        if (current) setMetrics(answer)
      })
      .catch(() => undefined)
    const end = page.onMetrics(props.run, (answer) => setMetrics(answer as MetricsAnswer))
    return () => {
      current = false
      end()
    }
  }, [page, props.run, status])
  if (!metrics) return <p className="text-sm text-muted">The numbers come with the first finished step.</p>
  const used = new Set([...(run?.nodes.values() ?? [])].map(({ player }) => extensionOf(player)))
  const players = Object.entries(metrics.players ?? {}).filter(([name]) => used.has(extensionOf(name)))
  return (
    <div className="flex flex-col gap-3">
      <dl className="grid grid-cols-2 gap-2 sm:grid-cols-4">
        <Figure label="Average" value={time(metrics.average)} />
        <Figure label="Median" value={time(metrics.p50)} />
        <Figure label="99th percentile" value={time(metrics.p99)} />
        <Figure label="Steps a second" value={metrics.throughput?.toFixed(1) ?? '–'} />
      </dl>
      {players.length > 0 && <Players players={players} />}
      <Resources resources={metrics.resources ?? {}} />
    </div>
  )
}

/** `git` of `symphony/git#log`, of `symphony/git` and of `git`, for hosts that name their Players shortly. */
function extensionOf(player: string): string {
  const name = player.split('#')[0] ?? ''
  return name.slice(name.lastIndexOf('/') + 1)
}

function Players({ players }: { players: [string, PlayerNumbers][] }) {
  const columns = COLUMNS.filter(({ show }) => players.some(([, numbers]) => show(numbers) !== undefined))
  return (
    <div className="overflow-x-auto rounded-md border bg-surface">
      <table aria-label="Numbers by Player" className="w-full text-sm">
        <thead>
          <tr className="border-b bg-sunken text-left text-xs text-muted">
            <th scope="col" className="px-3 py-1.5 font-medium">
              Player
            </th>
            {columns.map(({ title }) => (
              <th key={title} scope="col" className="px-3 py-1.5 text-right font-medium">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {players.map(([player, numbers]) => (
            <tr key={player} className="border-b tabular-nums last:border-b-0">
              <td className="px-3 py-1.5 font-medium">{playerTitle(player)}</td>
              {columns.map(({ title, show }) => (
                <td key={title} className="px-3 py-1.5 text-right">
                  {show(numbers) ?? '–'}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Figure({ label, value }: { label: string; value: string }) {
  return (
    <div className="rounded-lg border bg-surface px-3 py-2">
      <dt className="text-xs text-muted">{label}</dt>
      <dd className="text-lg font-semibold tabular-nums">{value}</dd>
    </div>
  )
}

function Resources({ resources }: { resources: NonNullable<MetricsAnswer['resources']> }) {
  const rows = Object.entries(resources).flatMap(([name, value]) =>
    typeof value === 'object' && value.total ? [{ name, used: value.used ?? 0, total: value.total }] : [],
  )
  if (rows.length === 0) return null
  return (
    <div className="flex flex-col gap-1.5">
      {rows.map(({ name, used, total }) => (
        <div key={name} className="flex items-center gap-2 text-xs">
          <span className="w-16 text-muted">{name}</span>
          <meter min={0} max={total} value={used} aria-label={name} className="h-2 flex-1" />
          <span className="w-40 text-right text-muted tabular-nums">
            {name === 'memory' ? `${size(used)} of ${size(total)}` : `${used} of ${total}`}
          </span>
        </div>
      ))}
    </div>
  )
}

function time(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : seconds(value)
}
