/** Joins the connection with the stores; one object for the whole page. */
import { Connection, type ConnectionState } from '@/connection'
import { RunStore, type NodeRun, type RunInfo } from '@/store/runs'
import { TreeStore, type Patch } from '@/store/tree'

type MetricsListener = (metrics: unknown) => void

export class PageStore {
  readonly connection: Connection
  readonly tree: TreeStore
  readonly runs: RunStore
  #state: ConnectionState = 'connecting'
  readonly #stateListeners = new Set<() => void>()
  readonly #metrics = new Map<string, Set<MetricsListener>>()

  constructor(address: string, credentials: Record<string, string>) {
    this.tree = new TreeStore(() => void this.connection.request('ui.reset', {}).catch(() => undefined))
    this.runs = new RunStore((run) => void this.#subscribe(run))
    this.connection = new Connection(address, credentials, {
      notify: (method, params) => this.#notify(method, params),
      opened: () => this.runs.refresh(),
      state: (state) => {
        this.#state = state
        if (state === 'lost') this.tree.restart()
        for (const listener of this.#stateListeners) listener()
      },
    })
  }

  readonly state = (): ConnectionState => this.#state

  readonly onState = (listener: () => void): (() => void) => {
    this.#stateListeners.add(listener)
    return () => this.#stateListeners.delete(listener)
  }

  /** Calls `listener` with each `metricsUpdate` of a run. */
  onMetrics(run: string, listener: MetricsListener): () => void {
    const set = this.#metrics.get(run) ?? new Set()
    this.#metrics.set(run, set.add(listener))
    return () => set.delete(listener)
  }

  async #subscribe(run: string): Promise<void> {
    try {
      const answer = await this.connection.request<{ run: RunInfo }>('subscribeToWorkflow', { run })
      this.runs.seed(answer.run)
    } catch {
      // The connection was lost: it asks again when it is back. The tree tells of a run that does not exist.
    }
  }

  #notify(method: string, params: Record<string, unknown>): void {
    switch (method) {
      case 'ui.patch':
        this.tree.apply(params as unknown as Patch)
        break
      case 'taskProgress':
        this.runs.update(params.run as string, params.nodes as NodeRun[])
        break
      case 'workflowComplete':
        this.runs.seed(params.run as RunInfo)
        break
      case 'metricsUpdate':
        for (const listener of this.#metrics.get(params.run as string) ?? [])
          listener(params.metrics ?? params)
        break
    }
  }
}
