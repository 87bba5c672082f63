/** An edge that goes round the nodes between its ends, on the way that the layout found. */
import { BaseEdge, EdgeLabelRenderer, type Edge, type EdgeProps } from '@xyflow/react'
import type { Point } from './layout'

export type RoutedEdge = Edge<{ route: Point[] }, 'routed'>

export function Routed({
  id,
  sourceX,
  sourceY,
  targetX,
  targetY,
  data,
  label,
  markerEnd,
}: EdgeProps<RoutedEdge>) {
  const route = data?.route ?? []
  const middle = route[Math.floor(route.length / 2)]
  return (
    <>
      <BaseEdge
        id={id}
        path={smoothPath([{ x: sourceX, y: sourceY }, ...route, { x: targetX, y: targetY }])}
        {...(markerEnd === undefined ? {} : { markerEnd })}
      />
      {label !== undefined && middle && (
        <EdgeLabelRenderer>
          <span
            className="absolute rounded bg-surface px-1 text-[10px] text-muted"
            style={{ transform: `translate(-50%, -50%) translate(${middle.x}px, ${middle.y}px)` }}
          >
            {label}
          </span>
        </EdgeLabelRenderer>
      )}
    </>
  )
}

/** A curve that begins at the first point, ends at the last, and bends at those between. */
export function smoothPath(points: Point[]): string {
  const [first, ...rest] = points
  const last = rest.at(-1)
  if (!first || !last) return ''
  let path = `M${first.x},${first.y}`
  for (let index = 0; index < rest.length - 1; index++) {
    const bend = rest[index]
    const next = rest[index + 1]
    if (!bend || !next) continue
    const end = index === rest.length - 2 ? next : { x: (bend.x + next.x) / 2, y: (bend.y + next.y) / 2 }
    path += ` Q${bend.x},${bend.y} ${end.x},${end.y}`
  }
  return rest.length === 1 ? `${path} L${last.x},${last.y}` : path
}
