/** The places of a graph's nodes: at once when it is small, from a worker when it is large. */
import { useEffect, useMemo, useState } from 'react'
import { layout, type Box, type Link, type Places } from './layout'

const SMALL = 150

export function useLayout(boxes: Box[], links: Link[]): Places | null {
  const small = boxes.length <= SMALL
  const now = useMemo(() => (small ? layout(boxes, links) : null), [small, boxes, links])
  const [later, setLater] = useState<{ of: Box[]; places: Places } | null>(null)
  useEffect(() => {
    if (small) return
    const worker = new Worker(new URL('./layout.worker.ts', import.meta.url), { type: 'module' })
    worker.onmessage = ({ data }: MessageEvent<Places>) => setLater({ of: boxes, places: data })
    worker.postMessage({ boxes, links })
    return () => worker.terminate()
  }, [small, boxes, links])
  return now ?? (later?.of === boxes ? later.places : null)
}
