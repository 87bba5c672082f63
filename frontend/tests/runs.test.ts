import { describe, expect, it, vi } from 'vitest'
import { RunStore, type NodeRun } from '@/store/runs'

function nodeRun(id: string, status = 'pending'): NodeRun {
  return {
    id,
    player: 'symphony/git#log',
    status,
    attempts: 0,
    cached: false,
    started: null,
    ended: null,
    artifacts: [],
    error: null,
    progress: null,
    note: '',
  }
}

function seeded() {
  const request = vi.fn()
  const store = new RunStore(request)
  store.seed({ id: 'r', name: 'r', status: 'running', seconds: 0, nodes: [nodeRun('a'), nodeRun('b')] })
  return { request, store }
}

describe('live runs', () => {
  it('tells only those who look at a node that changed', () => {
    const { store } = seeded()
    const [a, b, all] = [vi.fn(), vi.fn(), vi.fn()]
    store.watch('r', 'a', a)
    store.watch('r', 'b', b)
    store.watch('r', null, all)
    store.update('r', [nodeRun('a', 'running')])
    expect([a, b, all].map((listener) => listener.mock.calls.length)).toEqual([1, 0, 1])
    expect(store.node('r', 'a')?.status).toBe('running')
    expect(store.run('r')?.order).toEqual(['a', 'b'])
  })

  it('asks for a run once for all who look, and again after a new connection', () => {
    const { request, store } = seeded()
    const leave = store.watch('r', 'a', () => undefined)
    store.watch('r', null, () => undefined)
    expect(request).toHaveBeenCalledTimes(1)
    store.refresh()
    expect(request).toHaveBeenCalledTimes(2)
    leave()
    store.refresh()
    expect(request).toHaveBeenCalledTimes(3)
  })

  it('drops changes of runs that it does not know', () => {
    const { store } = seeded()
    store.update('unknown', [nodeRun('a', 'running')])
    expect(store.run('unknown')).toBeUndefined()
  })

  it('takes the end of a run as it is told', () => {
    const { store } = seeded()
    store.seed({ id: 'r', name: 'r', status: 'failed', seconds: 2, nodes: [nodeRun('a', 'failed')] })
    expect(store.run('r')?.status).toBe('failed')
    expect(store.run('r')?.seconds).toBe(2)
  })
})
