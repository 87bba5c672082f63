/** The places of a graph's nodes: at once when it is small, from a worker when it is large. */
import { useEffect, useMemo, useState } from 'react'
import { bestLayout, layout, type Box, type Layout, type Link } from './layout'

const SMALL = 150

export interface Room {
  width: number
  height: number
}

/** Null until there is a layout. `fixed` keeps the graph from left to right, whatever the room. */
export function useLayout(boxes: Box[], links: Link[], room: Room | null, fixed: boolean): Layout | null {
  const small = boxes.length <= SMALL
  const now = useMemo(() => {
    if (!small || !room) return null
    return fixed ? layout(boxes, links, 'LR') : bestLayout(boxes, links, room.width, room.height)
  }, [small, boxes, links, room, fixed])
  const [later, setLater] = useState<{ of: Box[]; layout: Layout } | null>(null)
  useEffect(() => {
    if (small) return
    const worker = new Worker(new URL('./layout.worker.ts', import.meta.url), { type: 'module' })
    worker.onmessage = ({ data }: MessageEvent<Layout>) => setLater({ of: boxes, layout: data })
    worker.postMessage({ boxes, links })
    return () => worker.terminate()
  }, [small, boxes, links])
  return now ?? (later?.of === boxes ? later.layout : null)
}
