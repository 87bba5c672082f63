/** Places the nodes of a graph from left to right. Pure: runs in the page for small graphs, in a worker for large. */
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

export type Places = Record<string, { x: number; y: number }>

/** From here on the exact ranking takes too long, and the longest path decides the column. */
const LARGE = 400

export function layout(boxes: Box[], links: Link[]): Places {
  const graph = new Graph({ multigraph: true })
  graph.setGraph({
    rankdir: 'LR',
    nodesep: 26,
    ranksep: 64,
    ...(boxes.length > LARGE ? { ranker: 'longest-path' } : {}),
  })
  graph.setDefaultEdgeLabel(() => ({}))
  const known = new Set(boxes.map(({ id }) => id))
  for (const { id, width, height } of boxes) graph.setNode(id, { width, height })
  links.forEach(({ source, target }, index) => {
    if (known.has(source) && known.has(target)) graph.setEdge(source, target, {}, String(index))
  })
  dagre(graph)
  return Object.fromEntries(
    boxes.map(({ id, width, height }) => {
      const { x, y } = graph.node(id) as { x: number; y: number }
      return [id, { x: x - width / 2, y: y - height / 2 }]
    }),
  )
}
