/** The nodes of a run over time, one row a node; only the rows in sight are drawn. */
import { useRef } from 'react'
import { useVirtualizer } from '@tanstack/react-virtual'
import type { ElementOf } from '@/element'
import type { NodeRun } from '@/store/runs'
import { useElapsed } from '@/components/run'
import { useRun } from '@/store/context'
import { cn } from '@/lib/cn'
import { seconds } from '@/lib/words'

const ROW = 26
const BAR: Record<string, string> = {
  running: 'bg-info',
  succeeded: 'bg-good',
  failed: 'bg-bad',
  waiting: 'bg-warning',
  cancelled: 'bg-border-strong',
}

export function Timeline({ props, send }: ElementOf<'Timeline'>) {
  const run = useRun(props.run)
  const elapsed = useElapsed(run)
  const scroller = useRef<HTMLDivElement>(null)
  const nodes = run ? run.order.flatMap((id) => run.nodes.get(id) ?? []) : []
  const rows = useVirtualizer({
    count: nodes.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 8,
  })
  if (!run) return <p className="text-sm text-muted">The timeline begins with the run.</p>
  const end = Math.max(elapsed, 0.001, ...nodes.map((node) => node.ended ?? node.started ?? 0))
  return (
    <div className="rounded-lg border bg-surface p-3">
      <div ref={scroller} className="max-h-96 overflow-auto" role="group" aria-label="Timeline">
        <div className="relative" style={{ height: rows.getTotalSize() }}>
          {rows.getVirtualItems().map(({ index, start }) => {
            const node = nodes[index]
            return node ? (
              <Row
                key={node.id}
                node={node}
                top={start}
                end={end}
                selected={node.id === props.selected}
                onSelect={() => send('select', node.id)}
              />
            ) : null
          })}
        </div>
      </div>
      <div className="mt-1 ml-36 flex justify-between border-t pt-1 text-xs text-muted tabular-nums">
        {[0, 0.25, 0.5, 0.75, 1].map((part) => (
          <span key={part}>{seconds(end * part)}</span>
        ))}
      </div>
    </div>
  )
}

function Row({
  node,
  top,
  end,
  selected,
  onSelect,
}: {
  node: NodeRun
  top: number
  end: number
  selected: boolean
  onSelect: () => void
}) {
  const { started } = node
  const until = node.ended ?? end
  const lasted = started === null ? null : seconds(Math.max(0, until - started))
  const left = started === null ? 0 : (started / end) * 100
  return (
    <button
      type="button"
      onClick={onSelect}
      aria-label={`${node.id}: ${node.status}${lasted === null ? '' : `, ${lasted}`}`}
      className={cn(
        'absolute inset-x-0 flex items-center gap-2 rounded px-1 hover:bg-sunken',
        selected && 'bg-accent-soft',
      )}
      style={{ top, height: ROW }}
    >
      <span className="w-33 shrink-0 truncate text-left text-xs">{node.id}</span>
      <span className="relative h-full flex-1">
        {started !== null && (
          <span
            className={cn('absolute inset-y-1.5 min-w-1 rounded-sm', BAR[node.status] ?? 'bg-border-strong')}
            style={{ left: `${left}%`, width: `${((until - started) / end) * 100}%` }}
          />
        )}
        {lasted !== null && (
          <span
            className="absolute top-1 text-xs text-muted tabular-nums"
            style={
              left > 60
                ? { right: `${101 - left}%` }
                : { left: `calc(${((until / end) * 100).toFixed(2)}% + 6px)` }
            }
          >
            {until / end > 0.9 && left <= 60 ? '' : lasted}
          </span>
        )}
      </span>
    </button>
  )
}
