/** The tree as the host last sent it: numbered patches in, an immutable tree out. Knows no framework. */
import {
  existsIn,
  immutableJSONPatch,
  parseJSONPointer,
  type JSONPatchDocument,
  type JSONPatchOperation,
} from 'immutable-json-patch'
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
    let next = this.#tree
    for (const operation of patch) {
      if (!fits(next, operation)) {
        this.#lost()
        return
      }
      next = immutableJSONPatch<TreeNode | null, TreeNode | null>(next, [operation])
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

/** Whether an operation speaks of places that the tree has; the library itself would make up what is missing. */
function fits(tree: TreeNode | null, operation: JSONPatchOperation): boolean {
  const path = parseJSONPointer(operation.path)
  if ('from' in operation && !existsIn(tree, parseJSONPointer(operation.from))) return false
  if (operation.op === 'replace' || operation.op === 'remove')
    return path.length === 0 || existsIn(tree, path)
  return path.length === 0 || existsIn(tree, path.slice(0, -1))
}
