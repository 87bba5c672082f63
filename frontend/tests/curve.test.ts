import { describe, expect, it } from 'vitest'
import { points } from '@/components/curve'

describe('points', () => {
  it('goes from edge to edge, the greatest value on top', () => {
    expect(points([0, 1, 0.5])).toBe('4.0,60.0 120.0,4.0 236.0,32.0')
  })
  it('is level where nothing changes', () => {
    expect(points([2, 2])).toBe('4.0,32.0 236.0,32.0')
    expect(points([7])).toBe('4.0,32.0 236.0,32.0')
  })
})
