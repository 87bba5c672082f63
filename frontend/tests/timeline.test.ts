import { describe, expect, it } from 'vitest'
import { labelSide, ticks } from '@/components/timeline'

describe('the axis of the timeline', () => {
  it.each([
    [0.2, [0, 0.05, 0.1, 0.15, 0.2]],
    [6.2, [0, 2, 4, 6]],
    [61, [0, 20, 40, 60]],
    [0.001, [0, 0.0005, 0.001]],
  ])('has round times up to %d s, each once', (end, expected) => {
    expect(ticks(end).map((tick) => Number(tick.toPrecision(6)))).toEqual(expected)
  })
})

describe('the duration of a bar', () => {
  it.each([
    [0, 0.2, 'behind'],
    [0.7, 1, 'before'],
    [0.01, 1, 'within'],
  ])('from %d to %d stands %s it', (from, to, side) => {
    expect(labelSide(from, to)).toBe(side)
  })
})
