import { act, cleanup, render, screen } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LiveRegion } from '@/components/words'

const region = (text: string, count: number, shown: boolean) => (
  <LiveRegion id="live" props={{ text, count, shown }} send={() => undefined}>
    {null}
  </LiveRegion>
)

describe('what is announced', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => {
    cleanup()
    vi.useRealTimers()
  })

  it('is said to assistive tools, the same words twice as well', () => {
    const { rerender } = render(region('12 found', 1, false))
    const first = screen.getByText('12 found')
    rerender(region('12 found', 2, false))
    expect(screen.getByText('12 found')).not.toBe(first)
  })

  it('is shown for a while when it is asked to be, each time anew', () => {
    const { rerender } = render(region('saved', 1, true))
    expect(screen.getAllByText('saved')).toHaveLength(2)
    act(() => void vi.advanceTimersByTime(60_000))
    expect(screen.getAllByText('saved')).toHaveLength(1)
    rerender(region('saved', 2, true))
    expect(screen.getAllByText('saved')).toHaveLength(2)
  })
})
