/** Live states of runs, beside the tree: deltas in, one listener a node. Knows no framework. */

export interface NodeRun {
  id: string
  player: string
  status: string
  attempts: number
  cached: boolean
  started: number | null
  ended: number | null
  artifacts: string[]
  error: { code?: string; message?: string; remedy?: string; traceback?: string } | null
  progress: number | null
  note: string
  /** What it waits for now, as "waits for 1 core held by commits"; empty when it does not wait. */
  waits_for?: string
  /** Seconds for which it waited for resources, once it has begun. */
  queue_seconds?: number | null
  cpu_seconds?: number | null
  /** Bytes. */
  peak_memory?: number | null
  /** Why it ran and was not answered from the cache. */
  ran_because?: string
  /** The Player that answered in place of its own. */
  fallback?: string
}

export interface RunInfo {
  id: string
  name: string
  status: string
  seconds: number
  nodes: NodeRun[]
}

export interface LiveRun {
  id: string
  status: string
  /** Seconds that had passed at `taken`, which is a time of the page's own clock in milliseconds. */
  seconds: number
  taken: number
  order: string[]
  nodes: ReadonlyMap<string, NodeRun>
}

type Listener = () => void

export class RunStore {
  readonly #runs = new Map<string, LiveRun>()
  readonly #listeners = new Map<string, Set<Listener>>()
  readonly #wanted = new Map<string, number>()
  readonly #request: (run: string) => void

  /** `request` is called when somebody begins to look at a run; its answer goes to `seed`. */
  constructor(request: (run: string) => void) {
    this.#request = request
  }

  run(id: string): LiveRun | undefined {
    return this.#runs.get(id)
  }

  node(run: string, node: string): NodeRun | undefined {
    return this.#runs.get(run)?.nodes.get(node)
  }

  /** Calls `listener` when the run, or one node of it, changes. */
  watch(run: string, node: string | null, listener: Listener): () => void {
    const key = node === null ? run : `${run}/${node}`
    const set = this.#listeners.get(key) ?? new Set()
    this.#listeners.set(key, set.add(listener))
    const count = this.#wanted.get(run) ?? 0
    this.#wanted.set(run, count + 1)
    if (count === 0) this.#request(run)
    return () => {
      set.delete(listener)
      this.#wanted.set(run, (this.#wanted.get(run) ?? 1) - 1)
    }
  }

  /** After a new connection: asks again for all that somebody looks at. */
  refresh(): void {
    for (const [run, count] of this.#wanted) if (count > 0) this.#request(run)
  }

  /** The whole run, as it is now. */
  seed(info: RunInfo): void {
    const nodes = new Map(info.nodes.map((node) => [node.id, node]))
    const old = this.#runs.get(info.id)
    this.#runs.set(info.id, {
      id: info.id,
      status: info.status,
      seconds: info.seconds,
      taken: performance.now(),
      order: info.nodes.map((node) => node.id),
      nodes,
    })
    const ids = new Set([...nodes.keys(), ...(old?.nodes.keys() ?? [])])
    this.#tell(info.id, ids)
  }

  /** Changed nodes of a run. */
  update(run: string, changed: NodeRun[]): void {
    const known = this.#runs.get(run)
    if (!known) return
    const nodes = new Map(known.nodes)
    for (const node of changed) nodes.set(node.id, node)
    const order = [...known.order, ...changed.map((node) => node.id).filter((id) => !known.nodes.has(id))]
    const active = known.status === 'running' || changed.some((node) => node.status === 'running')
    this.#runs.set(run, { ...known, order, nodes, status: active ? 'running' : known.status })
    this.#tell(
      run,
      changed.map((node) => node.id),
    )
  }

  #tell(run: string, nodes: Iterable<string>): void {
    for (const node of nodes) for (const listener of this.#listeners.get(`${run}/${node}`) ?? []) listener()
    for (const listener of this.#listeners.get(run) ?? []) listener()
  }
}
