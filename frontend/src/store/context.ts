/** Hooks through which components reach the stores. */
import { createContext, useCallback, useContext, useSyncExternalStore } from 'react'
import type { LiveRun, NodeRun } from '@/store/runs'
import type { PageStore } from '@/store/page'

export const PageContext = createContext<PageStore | null>(null)

export function usePage(): PageStore {
  const page = useContext(PageContext)
  if (!page) throw new Error('no page around this component')
  return page
}

/** A run as it is now; undefined until the host has told of it. */
export function useRun(run: string): LiveRun | undefined {
  const { runs } = usePage()
  const subscribe = useCallback((listener: () => void) => runs.watch(run, null, listener), [runs, run])
  return useSyncExternalStore(subscribe, () => runs.run(run))
}

/** One node of a run; only its own changes draw the component again. */
export function useNodeRun(run: string | undefined, node: string): NodeRun | undefined {
  const { runs } = usePage()
  const subscribe = useCallback(
    (listener: () => void) => (run === undefined ? () => undefined : runs.watch(run, node, listener)),
    [runs, run, node],
  )
  return useSyncExternalStore(subscribe, () => (run === undefined ? undefined : runs.node(run, node)))
}
