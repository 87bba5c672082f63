import { beforeEach, describe, expect, it, vi } from 'vitest'

class System extends EventTarget {
  matches = false
  become(dark: boolean) {
    this.matches = dark
    this.dispatchEvent(new Event('change'))
  }
}

const isDark = () => document.documentElement.classList.contains('dark')

describe('the theme', () => {
  let system: System
  beforeEach(() => {
    vi.resetModules()
    localStorage.clear()
    system = new System()
    vi.stubGlobal('matchMedia', () => system)
  })

  it('follows the system only when it is told to', async () => {
    const { showTheme } = await import('@/theme')
    showTheme('system')
    expect(isDark()).toBe(false)
    system.become(true)
    expect(isDark()).toBe(true)
    showTheme('light')
    expect(isDark()).toBe(false)
    system.become(true)
    expect(isDark()).toBe(false)
  })

  it('is known again before the host answers', async () => {
    const { knownTheme, showTheme } = await import('@/theme')
    expect(knownTheme()).toBe('system')
    showTheme('dark')
    expect(knownTheme()).toBe('dark')
  })
})
