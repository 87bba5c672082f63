/** The nodes of a run over time, one row a node; only the rows in sight are drawn. */
import { useMemo, useRef } from 'react'
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
  cancelled: 'bg-muted',
}

export function Timeline({ props, send }: ElementOf<'Timeline'>) {
  const run = useRun(props.run)
  const elapsed = useElapsed(run)
  const scroller = useRef<HTMLDivElement>(null)
  // The clock draws it anew five times a second: of ten thousand steps the order is found when one has changed.
  const [nodes, last] = useMemo(() => {
    const found = run ? byStart(run.order.flatMap((id) => run.nodes.get(id) ?? [])) : []
    return [found, found.reduce((last, { started, ended }) => Math.max(last, ended ?? started ?? 0), 0.001)]
  }, [run])
  const rows = useVirtualizer({
    count: nodes.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 8,
  })
  if (!run) return <p className="text-sm text-muted">The timeline begins with the run.</p>
  const end = Math.max(elapsed, last)
  return (
    <div className="rounded-lg border bg-surface p-3">
      <div
        ref={scroller}
        data-timeline
        className="-m-1 max-h-96 overflow-x-hidden overflow-y-auto p-1"
        role="group"
        aria-label="Timeline"
      >
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
      <div className="relative mt-2 mr-6 ml-36 h-5 border-t text-xs text-muted tabular-nums">
        {ticks(end).map((tick) => (
          <span
            key={tick}
            className="absolute top-1 whitespace-nowrap"
            style={{
              left: `${(tick / end) * 100}%`,
              transform: tick === 0 ? undefined : 'translateX(-50%)',
            }}
          >
            {seconds(tick)}
          </span>
        ))}
      </div>
    </div>
  )
}

/** In the order in which they began; what has not begun comes last, as the Melody has it. */
function byStart(nodes: NodeRun[]): NodeRun[] {
  return nodes.toSorted((a, b) => (a.started ?? Infinity) - (b.started ?? Infinity) || 0)
}

/** Round times from 0 to `end`, three to five of them. */
export function ticks(end: number): number[] {
  const rough = end / 4
  const unit = 10 ** Math.floor(Math.log10(rough))
  const step = unit * ([1, 2, 5, 10].find((factor) => factor * unit >= rough) ?? 10)
  return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, index) => index * step)
}

/** Where the duration of a bar stands: behind it, else before it, else within. Parts of the whole, 0 to 1. */
export function labelSide(from: number, to: number): 'behind' | 'before' | 'within' {
  const room = 0.16
  if (1 - to >= room) return 'behind'
  return from >= room ? 'before' : 'within'
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
  const from = started === null ? 0 : started / end
  const to = until / end
  const side = labelSide(from, to)
  return (
    <button
      type="button"
      data-chosen={selected || undefined}
      onClick={onSelect}
      className={cn(
        'absolute inset-x-0 flex items-center gap-2 rounded px-1 hover:bg-sunken',
        selected && 'bg-accent-soft',
      )}
      style={{ top, height: ROW }}
    >
      <span className="w-33 shrink-0 truncate text-left text-xs">
        {node.id}
        <span className="sr-only">: {node.status} </span>
      </span>
      <span className="relative mr-5 h-full flex-1">
        {started !== null && (
          <span
            data-bar
            className={cn('absolute inset-y-1.5 min-w-1 rounded-sm', BAR[node.status] ?? 'bg-muted')}
            style={{ left: `${from * 100}%`, width: `${(to - from) * 100}%` }}
          />
        )}
        {lasted !== null && (
          <span
            className={cn(
              'absolute top-1 text-xs forced-colors:bg-[Canvas] forced-colors:px-0.5 whitespace-nowrap tabular-nums',
              side === 'within' ? 'text-surface' : 'text-muted',
            )}
            style={
              side === 'behind'
                ? { left: `calc(${(to * 100).toFixed(2)}% + 6px)` }
                : { right: `calc(${((1 - (side === 'before' ? from : to)) * 100).toFixed(2)}% + 6px)` }
            }
          >
            {lasted}
          </span>
        )}
      </span>
    </button>
  )
}
