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

describe('the colours of a Motif', () => {
  const queries = new Map<string, System>()
  const query = (text: string) => {
    const known = queries.get(text) ?? new System()
    queries.set(text, known)
    return known
  }
  const drawn = (name: string) => document.documentElement.style.getPropertyValue(name)

  beforeEach(() => {
    vi.resetModules()
    localStorage.clear()
    document.documentElement.removeAttribute('style')
    queries.clear()
    vi.stubGlobal('matchMedia', query)
  })

  it('are those of the light or the dark page, and go with the choice', async () => {
    const { showColors, showTheme } = await import('@/theme')
    showTheme('light')
    showColors({ light: { surface: '#fffbf2' }, dark: { surface: '#101418' } })
    expect(drawn('--surface')).toBe('#fffbf2')
    showTheme('dark')
    expect(drawn('--surface')).toBe('#101418')
    showColors(undefined)
    expect(drawn('--surface')).toBe('')
  })

  it('give way where more contrast is asked for', async () => {
    const { showColors, showTheme } = await import('@/theme')
    showTheme('light')
    showColors({ light: { surface: '#fffbf2' } })
    query('(prefers-contrast: more)').become(true)
    expect(drawn('--surface')).toBe('')
  })

  it('can be colours and nothing else', async () => {
    const { showColors, showTheme } = await import('@/theme')
    showTheme('light')
    showColors({ light: { 'surface;x': '#fffbf2', background: 'url(https://a.b/c)', ring: '#ABCDEF' } })
    expect(document.documentElement.getAttribute('style') ?? '').toBe('')
  })

  it('are known again before the host answers', async () => {
    const { knownColors, showColors, showTheme } = await import('@/theme')
    showTheme('light')
    showColors({ light: { surface: '#fffbf2' } })
    expect(knownColors()).toEqual({ light: { surface: '#fffbf2' } })
  })
})
