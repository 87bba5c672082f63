/** The graph of a Melody on React Flow: what is dragged, seen and hovered belongs to the page, all else to the host. */
import { useCallback, useEffect, useMemo, useRef, useState, type DragEvent } from 'react'
import {
  Background,
  Controls,
  ReactFlow,
  ReactFlowProvider,
  useNodesInitialized,
  useReactFlow,
  type Connection,
  type Edge,
  type EdgeChange,
  type NodeChange,
} from '@xyflow/react'
import '@xyflow/react/dist/style.css'
import './graph.css'
import type { ElementOf } from '@/element'
import { PLAYER_DRAG } from './drag'
import type { Places } from './layout'
import { NODE_WIDTH, PlayerNode, nodeHeight, type FlowNode } from './node'
import { useLayout } from './use-layout'

const NODE_TYPES = { player: PlayerNode }
const FIT = { padding: 0.12, maxZoom: 1.15 }
/** From this many nodes on only those in sight are drawn. */
const MANY = 150

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
  const places = useLayout(boxes, links)

  // A node that was dropped onto the graph stays where it was dropped.
  const ids = useRef<ReadonlySet<string>>(new Set(nodes.map(({ id }) => id)))
  useEffect(() => {
    const place = dropped.current
    const fresh = nodes.find(({ id }) => !ids.current.has(id))
    if (fresh && place) {
      dropped.current = null
      setMoved((old) => ({ ...old, [fresh.id]: place }))
    }
    ids.current = new Set(nodes.map(({ id }) => id))
  }, [nodes])

  const flowNodes = useMemo<FlowNode[]>(
    () =>
      places === null
        ? []
        : nodes.map((node) => ({
            id: node.id,
            type: 'player',
            position: moved[node.id] ?? places[node.id] ?? { x: 0, y: 0 },
            width: NODE_WIDTH,
            height: nodeHeight(node, editable),
            selected: node.id === selected,
            data: { node, run, editable },
            ariaLabel: `${node.title}, step ${node.id}`,
          })),
    [places, nodes, moved, selected, run, editable],
  )
  const flowEdges = useMemo<Edge[]>(
    () =>
      edges.map(({ id, source, sourcePort, target, targetPort, kind, label }) => ({
        id,
        source,
        target,
        sourceHandle: editable ? (sourcePort ?? null) : null,
        targetHandle: editable ? (targetPort ?? null) : null,
        label,
        selected: chosenEdges.has(id),
        className: `edge-${kind}`,
        ariaLabel: `${source}${sourcePort ? ` ${sourcePort}` : ''} to ${target}${targetPort ? ` ${targetPort}` : ''}`,
      })),
    [edges, editable, chosenEdges],
  )
  useRefit(structure, places !== null)

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
      role="group"
      aria-label={props.label}
      className="relative h-[clamp(16rem,46vh,34rem)] overflow-hidden rounded-lg border bg-sunken"
      onDragOver={(event) => {
        if (editable && event.dataTransfer.types.includes(PLAYER_DRAG)) event.preventDefault()
      }}
      onDrop={drop}
    >
      {places === null && (
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
        minZoom={0.05}
        maxZoom={1.75}
        zoomOnScroll={false}
        preventScrolling={false}
        fitView
        fitViewOptions={FIT}
        proOptions={{ hideAttribution: true }}
      >
        <Background gap={18} size={1} />
        <Controls showInteractive={false} fitViewOptions={FIT} />
      </ReactFlow>
    </div>
  )
}

/** Brings all nodes into view again when the graph's structure or the room for it has changed. */
function useRefit(structure: string, placed: boolean): void {
  const flow = useReactFlow()
  const ready = useNodesInitialized()
  useEffect(() => {
    if (!ready || !placed) return
    const frame = requestAnimationFrame(() => void flow.fitView(FIT))
    const again = () => void flow.fitView(FIT)
    addEventListener('resize', again)
    return () => {
      cancelAnimationFrame(frame)
      removeEventListener('resize', again)
    }
  }, [flow, ready, placed, structure])
}
