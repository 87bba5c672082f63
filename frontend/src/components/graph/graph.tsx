/** The graph of a Melody on React Flow: what is dragged, seen and hovered belongs to the page, all else to the host. */
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type DragEvent } from 'react'
import {
  Background,
  Controls,
  ReactFlow,
  Position,
  ReactFlowProvider,
  useNodesInitialized,
  useReactFlow,
  useStore,
  type FitViewOptions,
  type Connection,
  type Edge,
  type EdgeChange,
  type NodeChange,
} from '@xyflow/react'
import '@xyflow/react/dist/style.css'
import './graph.css'
import type { ElementOf } from '@/element'
import { PLAYER_DRAG } from './drag'
import { Routed } from './edge'
import type { Box, Places } from './layout'
import { NODE_WIDTH, PlayerNode, ends, nodeHeight, ports, type FlowNode } from './node'
import { useLayout, type Room } from './use-layout'

const NODE_TYPES = { player: PlayerNode }
const EDGE_TYPES = { routed: Routed }
/** Space around the nodes, with room for the controls below them. */
const PADDING = { top: 28, bottom: 56, side: 28 }
const FIT: FitViewOptions = {
  padding: { top: `${PADDING.top}px`, bottom: `${PADDING.bottom}px`, x: `${PADDING.side}px` },
  maxZoom: 1,
}
/** Up to this many nodes the names stay readable, even where not all nodes are in sight at once. */
const FEW = 12
const READABLE = 0.62
/** From this many nodes on only those in sight are drawn, */
const MANY = 150
/** and so few are in sight at first, and at most, that they can be drawn while the graph is moved. */
const LARGE_ZOOM = { first: 0.4, least: 0.2 }

export default function Graph(element: ElementOf<'Graph'>) {
  return (
    <ReactFlowProvider>
      <Flow {...element} />
    </ReactFlowProvider>
  )
}

function Flow({ props, send }: ElementOf<'Graph'>) {
  const { nodes, edges, run, selected, editable = false } = props
  const flow = useReactFlow()
  const [moved, setMoved] = useState<Places>({})
  const [chosenEdges, setChosenEdges] = useState<ReadonlySet<string>>(new Set())
  const dropped = useRef<{ x: number; y: number } | null>(null)

  // The layout depends on the structure only: new notes or findings leave every node where it is.
  const structure = JSON.stringify([
    nodes.map((node) => [node.id, nodeHeight(node, editable)]),
    edges.map(({ source, target }) => [source, target]),
  ])
  const [boxes, links] = useMemo(() => {
    const [nodeList, edgeList] = JSON.parse(structure) as [[string, number][], [string, string][]]
    return [
      nodeList.map(([id, height]) => ({ id, width: NODE_WIDTH, height })),
      edgeList.map(([source, target]) => ({ source, target })),
    ]
  }, [structure])
  const [place, room] = useRoom()
  const laid = useLayout(boxes, links, room, editable)
  const fit = useMemo<FitViewOptions>(
    () => ({
      ...FIT,
      minZoom: boxes.length <= FEW ? READABLE : boxes.length > MANY ? LARGE_ZOOM.first : 0.05,
    }),
    [boxes.length],
  )
  const height = room && laid && !editable ? tallEnough(boxes, laid.places, room) : room?.height

  // A node that was dropped onto the graph stays where it was dropped.
  const ids = useRef<ReadonlySet<string>>(new Set(nodes.map(({ id }) => id)))
  useEffect(() => {
    const drop = dropped.current
    const fresh = nodes.find(({ id }) => !ids.current.has(id))
    if (fresh && drop) {
      dropped.current = null
      setMoved((old) => ({ ...old, [fresh.id]: drop }))
    }
    ids.current = new Set(nodes.map(({ id }) => id))
  }, [nodes])

  const flowNodes = useMemo<FlowNode[]>(
    () =>
      laid === null
        ? []
        : nodes.map((node) => ({
            id: node.id,
            type: 'player',
            position: moved[node.id] ?? laid.places[node.id] ?? { x: 0, y: 0 },
            width: NODE_WIDTH,
            height: nodeHeight(node, editable),
            measured: { width: NODE_WIDTH, height: nodeHeight(node, editable) },
            sourcePosition: laid.direction === 'LR' ? Position.Right : Position.Bottom,
            targetPosition: laid.direction === 'LR' ? Position.Left : Position.Top,
            handles: editable ? ports(node) : ends(laid.direction, nodeHeight(node, editable)),
            selected: node.id === selected,
            data: { node, run, editable, direction: laid.direction },
            ariaLabel: `${node.title}, step ${node.id}`,
          })),
    [laid, nodes, moved, selected, run, editable],
  )
  const flowEdges = useMemo<Edge[]>(
    () =>
      edges.map(({ id, source, sourcePort, target, targetPort, kind, label }, index) => ({
        id,
        source,
        target,
        ...(laid?.routes[index] && !moved[source] && !moved[target]
          ? { type: 'routed', data: { route: laid.routes[index] } }
          : {}),
        sourceHandle: editable ? (sourcePort ?? null) : null,
        targetHandle: editable ? (targetPort ?? null) : null,
        label,
        selected: chosenEdges.has(id),
        className: `edge-${kind}`,
        ariaLabel: `${source}${sourcePort ? ` ${sourcePort}` : ''} to ${target}${targetPort ? ` ${targetPort}` : ''}`,
      })),
    [edges, editable, chosenEdges, laid, moved],
  )
  useRefit(`${structure} ${laid?.direction ?? ''}`, laid !== null, fit)

  const changeNodes = useCallback(
    (changes: NodeChange<FlowNode>[]) => {
      for (const change of changes) {
        if (change.type === 'position' && change.position) {
          const { id, position } = change
          setMoved((old) => ({ ...old, [id]: position }))
        } else if (change.type === 'select' && change.selected) send('select', change.id)
      }
    },
    [send],
  )
  const changeEdges = useCallback((changes: EdgeChange[]) => {
    setChosenEdges((old) => {
      const next = new Set(old)
      for (const change of changes) {
        if (change.type !== 'select') continue
        if (change.selected) next.add(change.id)
        else next.delete(change.id)
      }
      return next
    })
  }, [])
  const connect = ({ source, sourceHandle, target, targetHandle }: Connection) => {
    if (sourceHandle && targetHandle)
      send('connect', { from: `${source}.${sourceHandle}`, to: `${target}.${targetHandle}` })
  }
  const drop = (event: DragEvent) => {
    const player = event.dataTransfer.getData(PLAYER_DRAG)
    if (!player || !editable) return
    event.preventDefault()
    dropped.current = flow.screenToFlowPosition({ x: event.clientX - NODE_WIDTH / 2, y: event.clientY - 20 })
    send('add', player)
  }
  return (
    <div
      ref={place}
      role="group"
      aria-label={props.label}
      className="relative overflow-hidden rounded-lg border bg-sunken dark:bg-background"
      style={{ height: height ?? ROOM.least }}
      onDragOver={(event) => {
        if (editable && event.dataTransfer.types.includes(PLAYER_DRAG)) event.preventDefault()
      }}
      onDrop={drop}
    >
      {laid === null && (
        <p className="absolute inset-0 grid animate-late place-items-center text-muted">Laying out …</p>
      )}
      {nodes.length === 0 && (
        <p className="absolute inset-0 grid place-items-center text-sm text-muted">
          Drag a step here, or choose one from the list.
        </p>
      )}
      <ReactFlow
        nodes={flowNodes}
        edges={flowEdges}
        nodeTypes={NODE_TYPES}
        edgeTypes={EDGE_TYPES}
        onNodesChange={changeNodes}
        onEdgesChange={changeEdges}
        onConnect={connect}
        onNodesDelete={(gone) => gone.forEach(({ id }) => send('remove', id))}
        onEdgesDelete={(gone) => gone.forEach(({ id }) => send('disconnect', id))}
        onPaneClick={() => selected && send('select', '')}
        deleteKeyCode={editable ? ['Delete', 'Backspace'] : null}
        nodesConnectable={editable}
        edgesFocusable={editable}
        onlyRenderVisibleElements={nodes.length > MANY}
        isValidConnection={({ source, target }) => source !== target}
        connectionRadius={28}
        minZoom={nodes.length > MANY ? LARGE_ZOOM.least : 0.05}
        maxZoom={1.75}
        zoomOnScroll={false}
        preventScrolling={false}
        fitView
        fitViewOptions={fit}
        proOptions={{ hideAttribution: true }}
      >
        <Background gap={18} size={1} />
        <Controls orientation="horizontal" showInteractive={false} fitViewOptions={fit} />
      </ReactFlow>
    </div>
  )
}

const STEP = 64
/** How tall a graph may be: a part of the window, within limits, in pixels. */
const ROOM = { least: 256, part: 0.46, most: 544 }

/** The room for the graph, in steps, so that a small change does not lay it out anew. */
function useRoom() {
  const place = useRef<HTMLDivElement>(null)
  const [room, setRoom] = useState<Room | null>(null)
  useLayoutEffect(() => {
    if (!place.current) return
    const element = place.current
    const measure = () => {
      const next = {
        width: Math.ceil(element.clientWidth / STEP) * STEP,
        height: Math.min(ROOM.most, Math.max(ROOM.least, Math.round(innerHeight * ROOM.part))),
      }
      setRoom((old) => (old?.width === next.width && old.height === next.height ? old : next))
    }
    const observer = new ResizeObserver(measure)
    observer.observe(element)
    addEventListener('resize', measure)
    return () => {
      observer.disconnect()
      removeEventListener('resize', measure)
    }
  }, [])
  return [place, room] as const
}

/** The height that a graph needs within its room: a small one leaves the space to what stands below it. A large one is
 *  never drawn so small that all of it is in sight. */
function tallEnough(boxes: Box[], places: Places, room: Room): number {
  const right = Math.max(1, ...boxes.map(({ id, width }) => (places[id]?.x ?? 0) + width))
  const low = Math.max(1, ...boxes.map(({ id, height }) => (places[id]?.y ?? 0) + height))
  const least = boxes.length > MANY ? LARGE_ZOOM.first : 0
  const scale = Math.max(least, Math.min(1, (room.width - 2 * PADDING.side) / right))
  return Math.min(room.height, Math.round(low * scale) + PADDING.top + PADDING.bottom)
}

/** Brings all nodes into view again when the graph's structure or the room for it has changed. */
function useRefit(structure: string, placed: boolean, fit: FitViewOptions): void {
  const flow = useReactFlow()
  const ready = useNodesInitialized()
  const room = useStore(({ width, height }) => `${width} ${height}`)
  useEffect(() => {
    if (!ready || !placed) return
    const frame = requestAnimationFrame(() => void flow.fitView(fit))
    return () => cancelAnimationFrame(frame)
  }, [flow, ready, placed, structure, room, fit])
}
