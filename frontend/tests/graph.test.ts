import { describe, expect, it } from 'vitest'
import { smoothPath } from '@/components/graph/edge'
import { bestLayout, layout } from '@/components/graph/layout'

const box = (id: string) => ({ id, width: 100, height: 40 })
const chain = ['a', 'b', 'c', 'd']
const links = chain.slice(1).map((target, index) => ({ source: chain[index] ?? '', target }))

describe('the layout', () => {
  it('puts each node behind those that it needs', () => {
    const { places } = layout(chain.map(box), links, 'LR')
    for (const { source, target } of links)
      expect((places[source]?.x ?? 0) + 100).toBeLessThan(places[target]?.x ?? 0)
  })

  it('runs down in a narrow room and across in a flat one', () => {
    expect(bestLayout(chain.map(box), links, 200, 800).direction).toBe('TB')
    expect(bestLayout(chain.map(box), links, 2000, 100).direction).toBe('LR')
  })

  it('routes an edge round the nodes between its ends', () => {
    const { routes } = layout(chain.map(box), [...links, { source: 'a', target: 'd' }], 'LR')
    expect(Object.keys(routes)).toEqual(['3'])
  })

  it('ignores edges to nodes that are not there', () => {
    expect(Object.keys(layout([box('a')], [{ source: 'a', target: 'gone' }], 'LR').places)).toEqual(['a'])
  })

  it.each([
    ['a fan', (index: number) => index % 100],
    ['long chains', (index: number) => index],
  ])('places ten thousand nodes in %s quickly and apart', (_name, source) => {
    const many = Array.from({ length: 10_000 }, (_, index) => box(String(index)))
    const links = many.slice(100).map(({ id }, index) => ({ source: String(source(index)), target: id }))
    const began = performance.now()
    const { places } = layout(many, links, 'LR')
    expect(performance.now() - began).toBeLessThan(2000)
    expect(new Set(Object.values(places).map(({ x, y }) => `${x} ${y}`)).size).toBe(10_000)
    for (const { source, target } of links)
      expect(places[source]?.x ?? 0).toBeLessThan(places[target]?.x ?? 0)
  })
})

describe('a routed edge', () => {
  it('begins and ends where it should', () => {
    const path = smoothPath([
      { x: 0, y: 0 },
      { x: 10, y: 5 },
      { x: 20, y: 5 },
      { x: 30, y: 0 },
    ])
    expect(path.startsWith('M0,0 ')).toBe(true)
    expect(path.endsWith(' 30,0')).toBe(true)
    expect(
      smoothPath([
        { x: 0, y: 0 },
        { x: 1, y: 1 },
      ]),
    ).toBe('M0,0 L1,1')
  })
})
