/** The tree as the host last sent it: numbered patches in, an immutable tree out. Knows no framework. */
import { immutableJSONPatch, type JSONPatchDocument } from 'immutable-json-patch'
import type { TreeNode } from '@/element'

export interface Patch {
  seq: number
  reset?: boolean
  patch: JSONPatchDocument
}

export class TreeStore {
  #tree: TreeNode | null = null
  #seq = 0
  #waiting = false
  readonly #listeners = new Set<() => void>()
  readonly #askReset: () => void

  /** `askReset` is called once for each gap in the numbers. */
  constructor(askReset: () => void) {
    this.#askReset = askReset
  }

  get seq(): number {
    return this.#seq
  }

  readonly tree = (): TreeNode | null => this.#tree

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Takes a patch. What did not change keeps its identity, so that only what changed is drawn again. */
  apply({ seq, reset, patch }: Patch): void {
    if (!reset && (this.#waiting || seq !== this.#seq + 1)) {
      this.#lost()
      return
    }
    let next: TreeNode | null
    try {
      next = immutableJSONPatch(this.#tree, patch) as TreeNode | null
    } catch {
      this.#lost()
      return
    }
    this.#tree = next
    this.#seq = seq
    this.#waiting = false
    for (const listener of this.#listeners) listener()
  }

  /** A new connection counts from the beginning; the old tree stays in sight until the new one comes. */
  restart(): void {
    this.#seq = 0
    this.#waiting = false
  }

  #lost(): void {
    if (this.#waiting) return
    this.#waiting = true
    this.#askReset()
  }
}
