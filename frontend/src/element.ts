/** What every component of the catalogue is given: its properties, its children, and a way to send its events. */
import type { ReactNode } from 'react'
import type { Catalogue } from '@/catalogue.gen'

export type Kind = keyof Catalogue

export interface TreeNode {
  type: string
  key: string | null
  props: Record<string, unknown>
  children: (TreeNode | string)[]
}

export interface ElementOf<K extends Kind> {
  /** The key of the element in the tree, unique on the page. */
  id: string
  props: Catalogue[K]['props']
  children: ReactNode
  send: <E extends keyof Catalogue[K]['events']>(event: E, value: Catalogue[K]['events'][E]) => void
}
