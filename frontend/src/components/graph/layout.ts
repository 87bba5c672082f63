/** Places the nodes of a graph rank by rank. Pure: runs in the page for small graphs, in a worker for large. */
import { layered } from './layered'
import { Graph, layout as dagre } from '@dagrejs/dagre'

export interface Box {
  id: string
  width: number
  height: number
}

export interface Link {
  source: string
  target: string
}

export interface Point {
  x: number
  y: number
}

export type Places = Record<string, Point>

/** Where the nodes stand, and by their index the links that have to go round others. */
export interface Layout {
  direction: Direction
  places: Places
  routes: Record<number, Point[]>
}

export type Direction = 'LR' | 'TB'

/** How far apart nodes of one rank, and ranks, stand. */
const GAPS = { LR: { nodesep: 22, ranksep: 52 }, TB: { nodesep: 28, ranksep: 40 } }

/** From this many nodes on dagre takes too long. */
const LARGE = 400

export function layout(boxes: Box[], links: Link[], direction: Direction): Layout {
  if (boxes.length > LARGE) return layered(boxes, links)
  const graph = new Graph({ multigraph: true })
  graph.setGraph({
    rankdir: direction,
    ...GAPS[direction],
  })
  graph.setDefaultEdgeLabel(() => ({}))
  const known = new Set(boxes.map(({ id }) => id))
  for (const { id, width, height } of boxes) graph.setNode(id, { width, height })
  links.forEach(({ source, target }, index) => {
    if (known.has(source) && known.has(target)) graph.setEdge(source, target, {}, String(index))
  })
  dagre(graph)
  const places: Places = {}
  for (const { id, width, height } of boxes) {
    const { x, y } = graph.node(id) as Point
    places[id] = { x: x - width / 2, y: y - height / 2 }
  }
  const routes: Layout['routes'] = {}
  links.forEach(({ source, target }, index) => {
    const edge = graph.edge(source, target, String(index)) as { points?: Point[] } | undefined
    // Between neighbouring ranks dagre answers with three points, and a plain curve is as good.
    if (edge?.points && edge.points.length > 3) routes[index] = edge.points.slice(1, -1)
  })
  return { direction, places, routes }
}

/** The layout in the direction in which the graph is seen larger in a room of that size. */
export function bestLayout(boxes: Box[], links: Link[], width: number, height: number): Layout {
  const scale = ({ places }: Layout) => {
    const right = Math.max(...boxes.map((box) => (places[box.id]?.x ?? 0) + box.width))
    const low = Math.max(...boxes.map((box) => (places[box.id]?.y ?? 0) + box.height))
    return Math.min(width / right, height / low, 1)
  }
  const across = layout(boxes, links, 'LR')
  const down = layout(boxes, links, 'TB')
  return boxes.length > 0 && scale(down) > scale(across) ? down : across
}
