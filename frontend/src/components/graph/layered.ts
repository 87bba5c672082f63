/**
 * Places the nodes of a very large graph in time that grows with its size: dagre, which is used for all others,
 * takes minutes from a few thousand nodes on. Ranks by longest path, ordered by the mean place of what they need.
 */
import type { Box, Layout, Link } from './layout'

const GAP = { across: 64, down: 20 }
/** A rank is folded into so many columns that it is about this many times as tall as wide. */
const TALL = 3

export function layered(boxes: Box[], links: Link[]): Layout {
  const index = new Map(boxes.map(({ id }, place) => [id, place]))
  const next: number[][] = boxes.map(() => [])
  const before: number[][] = boxes.map(() => [])
  for (const { source, target } of links) {
    const from = index.get(source)
    const to = index.get(target)
    if (from === undefined || to === undefined) continue
    next[from]?.push(to)
    before[to]?.push(from)
  }
  const places: Layout['places'] = {}
  const order = new Float64Array(boxes.length)
  let x = 0
  for (const rank of ranks(next, before)) {
    const mean = (node: number) => {
      const sources = before[node] ?? []
      return sources.reduce((sum, source) => sum + (order[source] ?? 0), 0) / Math.max(1, sources.length)
    }
    const keyed = rank.map((node) => [node, mean(node)] as const).sort((a, b) => a[1] - b[1])
    const width = Math.max(...rank.map((node) => boxes[node]?.width ?? 0))
    const height = Math.max(...rank.map((node) => boxes[node]?.height ?? 0))
    const columns = Math.max(1, Math.round(Math.sqrt((rank.length * height) / (width * TALL))))
    const rows = Math.ceil(rank.length / columns)
    keyed.forEach(([node], place) => {
      const box = boxes[node]
      if (!box) return
      const y = ((place % rows) - (rows - 1) / 2) * (height + GAP.down)
      order[node] = y
      places[box.id] = { x: x + Math.floor(place / rows) * (width + GAP.down), y }
    })
    x += columns * (width + GAP.down) + GAP.across
  }
  return { direction: 'LR', places, routes: {} }
}

/** The nodes by the length of the longest path to them; nodes of a cycle come last. */
function ranks(next: number[][], before: number[][]): number[][] {
  const missing = before.map((sources) => sources.length)
  const result: number[][] = []
  let ready = [...missing.keys()].filter((node) => missing[node] === 0)
  let placed = 0
  while (ready.length > 0) {
    result.push(ready)
    placed += ready.length
    const following: number[] = []
    for (const node of ready) {
      for (const target of next[node] ?? []) {
        const left = (missing[target] ?? 0) - 1
        missing[target] = left
        if (left === 0) following.push(target)
      }
    }
    ready = following
  }
  if (placed < before.length) result.push([...missing.keys()].filter((node) => (missing[node] ?? 0) > 0))
  return result
}
