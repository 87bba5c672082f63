import { describe, expect, it, vi } from 'vitest'
import type { TreeNode } from '@/element'
import { TreeStore } from '@/store/tree'

function node(key: string, children: TreeNode[] = [], props: Record<string, unknown> = {}): TreeNode {
  return { type: 'Stack', key, props, children }
}

function started(tree: TreeNode) {
  const ask = vi.fn()
  const store = new TreeStore(ask)
  store.apply({ seq: 1, reset: true, patch: [{ op: 'replace', path: '', value: tree }] })
  return { ask, store }
}

describe('the tree', () => {
  it('takes patches in order and keeps what did not change', () => {
    const { ask, store } = started(node('root', [node('a'), node('b')]))
    const before = store.tree()
    store.apply({ seq: 2, patch: [{ op: 'add', path: '/children/1/props/label', value: 'x' }] })
    const after = store.tree()
    expect(after).not.toBe(before)
    expect(after?.children[0]).toBe(before?.children[0])
    expect(after?.children[1]).toEqual(node('b', [], { label: 'x' }))
    expect(before?.children[1]).toEqual(node('b'))
    expect(ask).not.toHaveBeenCalled()
  })

  it('takes every operation of a JSON patch', () => {
    const { store } = started(node('root', [node('a'), node('b'), node('c')]))
    store.apply({
      seq: 2,
      patch: [
        { op: 'move', from: '/children/2', path: '/children/0' },
        { op: 'remove', path: '/children/1' },
        { op: 'add', path: '/children/-', value: node('d') },
        { op: 'replace', path: '/props', value: { gap: 'small' } },
        { op: 'test', path: '/key', value: 'root' },
      ],
    })
    expect(store.tree()).toEqual(node('root', [node('c'), node('b'), node('d')], { gap: 'small' }))
  })

  it('asks once for a reset at a gap and ignores what comes until then', () => {
    const { ask, store } = started(node('root'))
    const before = store.tree()
    store.apply({ seq: 3, patch: [{ op: 'replace', path: '/key', value: 'lost' }] })
    store.apply({ seq: 4, patch: [{ op: 'replace', path: '/key', value: 'lost' }] })
    expect(ask).toHaveBeenCalledTimes(1)
    expect(store.tree()).toBe(before)
    store.apply({ seq: 5, reset: true, patch: [{ op: 'replace', path: '', value: node('new') }] })
    store.apply({ seq: 6, patch: [{ op: 'replace', path: '/key', value: 'newer' }] })
    expect(store.tree()?.key).toBe('newer')
    expect(ask).toHaveBeenCalledTimes(1)
  })

  it('asks for a reset when a patch does not fit, and leaves the tree as it was', () => {
    const { ask, store } = started(node('root'))
    const before = store.tree()
    store.apply({ seq: 2, patch: [{ op: 'replace', path: '/children/7/props/label', value: 'x' }] })
    expect(ask).toHaveBeenCalledTimes(1)
    expect(store.tree()).toBe(before)
  })

  it('tells its listeners, until they leave', () => {
    const { store } = started(node('root'))
    const listener = vi.fn()
    const leave = store.subscribe(listener)
    store.apply({ seq: 2, patch: [{ op: 'replace', path: '/key', value: 'a' }] })
    leave()
    store.apply({ seq: 3, patch: [{ op: 'replace', path: '/key', value: 'b' }] })
    expect(listener).toHaveBeenCalledTimes(1)
  })
})
