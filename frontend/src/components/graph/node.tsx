/** A node of the graph: what it is, and its state in the run that is shown. */
import { memo } from 'react'
import { Handle, Position, useStore, type Node, type NodeHandle, type NodeProps } from '@xyflow/react'
import { Ban, Check, CircleDashed, Clock, Hand, Loader2, SkipForward, X, type LucideIcon } from 'lucide-react'
import type { GraphNode, Port } from '@/catalogue.gen'
import type { Direction } from './layout'
import { useNodeRun } from '@/store/context'
import { cn } from '@/lib/cn'
import { seconds } from '@/lib/words'

export const NODE_WIDTH = 208
const HEAD = 46
const PORT = 19
/** How large the point is from which an edge is drawn. */
const POINT = 10

export interface NodeData extends Record<string, unknown> {
  node: GraphNode
  run: string | undefined
  editable: boolean
  direction: Direction
}

export type FlowNode = Node<NodeData, 'player'>

export function nodeHeight(node: GraphNode, editable: boolean): number {
  return editable ? HEAD + 10 + Math.max(node.inputs.length, node.outputs.length, 1) * PORT : HEAD
}

/** The zoom below which a node's words are no words any more. */
const FAR = 0.45

const PENDING = { icon: CircleDashed, color: 'text-muted', frame: 'border-border-strong', far: 'bg-surface' }

const STATES: Record<string, { icon: LucideIcon; color: string; frame: string; far: string }> = {
  pending: PENDING,
  ready: { icon: Clock, color: 'text-muted', frame: 'border-border-strong', far: 'bg-surface' },
  running: { icon: Loader2, color: 'text-info', frame: 'border-info ring-2 ring-info/20', far: 'bg-info' },
  succeeded: { icon: Check, color: 'text-good', frame: 'border-good/50', far: 'bg-good/70' },
  failed: { icon: X, color: 'text-bad', frame: 'border-bad ring-2 ring-bad/20', far: 'bg-bad' },
  skipped: {
    icon: SkipForward,
    color: 'text-muted',
    frame: 'border-dashed border-border-strong',
    far: 'bg-border-strong',
  },
  cancelled: {
    icon: Ban,
    color: 'text-muted',
    frame: 'border-dashed border-border-strong',
    far: 'bg-border-strong',
  },
  waiting: {
    icon: Hand,
    color: 'text-warning',
    frame: 'border-warning ring-2 ring-warning/20',
    far: 'bg-warning',
  },
}

export const PlayerNode = memo(function PlayerNode({ data, selected }: NodeProps<FlowNode>) {
  const { node, run, editable, direction } = data
  const live = useNodeRun(run, node.id)
  const state = live?.status ?? 'pending'
  const { icon: Icon, color, frame, far } = STATES[state] ?? PENDING
  // From afar no word can be read: the whole node says its state.
  const isFar = useStore(({ transform }) => transform[2] < FAR)
  const lasted = live && live.started !== null && live.ended !== null ? live.ended - live.started : null
  const waitsFor = live?.waits_for ?? ''
  const detail = waitsFor || (live?.note && state === 'running' ? live.note : (node.text ?? node.id))
  return (
    <div
      data-node={node.id}
      data-state={state}
      title={node.problem ?? (waitsFor ? `${node.id} ${waitsFor}` : (node.text ?? node.player))}
      className={cn(
        'h-full rounded-lg border bg-surface text-foreground shadow-soft transition-colors',
        frame,
        node.problem && 'border-bad',
        selected && 'border-accent ring-2 ring-accent/30',
        isFar && run !== undefined && far,
      )}
    >
      <div className={cn('flex h-[44px] items-center gap-2 px-2.5', isFar && 'opacity-0')}>
        <Icon aria-hidden className={cn('size-4 shrink-0', color, state === 'running' && 'animate-spin')} />
        <div className="min-w-0 flex-1 leading-tight">
          <div className="truncate text-[13px] font-medium">{node.title}</div>
          <div className="truncate text-[11px] text-muted">{detail}</div>
        </div>
        <span className="shrink-0 text-[11px] text-muted tabular-nums">
          {lasted !== null ? seconds(lasted) : run === undefined ? node.note : ''}
        </span>
        <span className="sr-only">{waitsFor ? `${state}, ${waitsFor}` : state}</span>
      </div>
      {live && live.progress !== null && state === 'running' && (
        <div className="absolute inset-x-2 bottom-1 h-0.5 overflow-hidden rounded bg-info-soft">
          <div data-bar className="h-full bg-info" style={{ width: `${live.progress * 100}%` }} />
        </div>
      )}
      {editable ? (
        <>
          <Ports ports={node.inputs} side="input" />
          <Ports ports={node.outputs} side="output" />
        </>
      ) : (
        <>
          <Handle
            type="target"
            position={direction === 'LR' ? Position.Left : Position.Top}
            isConnectable={false}
            className="!size-0.5 !min-h-0 !min-w-0 !border-0 !opacity-0"
          />
          <Handle
            type="source"
            position={direction === 'LR' ? Position.Right : Position.Bottom}
            isConnectable={false}
            className="!size-0.5 !min-h-0 !min-w-0 !border-0 !opacity-0"
          />
        </>
      )}
    </div>
  )
})

/** Where the edges of a node begin and end. Known beforehand, so that a node out of sight need not be drawn for it. */
export function ends(direction: Direction, height: number): NodeHandle[] {
  const across = direction === 'LR'
  const end = { width: 1, height: 1 }
  return [
    {
      ...end,
      type: 'target',
      position: across ? Position.Left : Position.Top,
      x: across ? 0 : NODE_WIDTH / 2,
      y: across ? height / 2 : 0,
    },
    {
      ...end,
      type: 'source',
      position: across ? Position.Right : Position.Bottom,
      x: across ? NODE_WIDTH : NODE_WIDTH / 2,
      y: across ? height / 2 : height,
    },
  ]
}

/** The same for a node whose inputs and outputs are shown, each with a point of its own. */
export function ports(node: GraphNode): NodeHandle[] {
  const points = (names: Port[], input: boolean): NodeHandle[] =>
    names.map(({ name }, index) => ({
      id: name,
      type: input ? 'target' : 'source',
      position: input ? Position.Left : Position.Right,
      x: (input ? 0 : NODE_WIDTH) - POINT / 2,
      y: portTop(index) - POINT / 2,
      width: POINT,
      height: POINT,
    }))
  return [...points(node.inputs, true), ...points(node.outputs, false)]
}

function portTop(index: number): number {
  return HEAD + 8 + index * PORT
}

function Ports({ ports, side }: { ports: Port[]; side: 'input' | 'output' }) {
  const input = side === 'input'
  return ports.map(({ name, type }, index) => (
    <Handle
      key={name}
      id={name}
      type={input ? 'target' : 'source'}
      position={input ? Position.Left : Position.Right}
      title={`${name}: ${type}`}
      style={{ top: portTop(index), width: POINT, height: POINT }}
      className="!border-surface !bg-accent"
    >
      <span
        className={cn(
          'pointer-events-none absolute top-1/2 max-w-20 -translate-y-1/2 truncate text-[11px] leading-none text-muted',
          input ? 'left-3.5' : 'right-3.5 text-right',
        )}
      >
        {name}
      </span>
    </Handle>
  ))
}
