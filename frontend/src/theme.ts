/** The colours of the page: known before the host has answered, so that a dark page never begins with a white one. */
import { useEffect } from 'react'

import type { Colors } from '@/catalogue.gen'

export type Theme = 'system' | 'light' | 'dark'

const PLACE = 'theme'
const COLORS_PLACE = 'colors'

let shown: Theme = 'system'
let colors: Colors | undefined
let drawn: string[] = []
let system: MediaQueryList | undefined
let contrast: MediaQueryList | undefined

const NAME = /^[a-z]+(-[a-z]+)?$/
const COLOUR = /^#[0-9a-f]{6}$/

/** The theme that this browser showed last. */
export function knownTheme(): Theme {
  const theme = localStorage.getItem(PLACE)
  return theme === 'light' || theme === 'dark' ? theme : 'system'
}

/** Shows a theme, remembers it, and follows the system for as long as the theme says so. */
export function showTheme(theme: Theme): void {
  shown = theme
  localStorage.setItem(PLACE, theme)
  if (!system) {
    system = matchMedia('(prefers-color-scheme: dark)')
    system.addEventListener('change', apply)
    contrast = matchMedia('(prefers-contrast: more)')
    contrast.addEventListener('change', apply)
  }
  apply()
}

/** The colours of a Motif that this browser showed last. */
export function knownColors(): Colors | undefined {
  try {
    return (JSON.parse(localStorage.getItem(COLORS_PLACE) ?? 'null') as Colors | null) ?? undefined
  } catch {
    return undefined
  }
}

/** Shows the colours that a Motif brings, and remembers them. */
export function showColors(chosen: Colors | undefined): void {
  colors = chosen
  if (chosen) localStorage.setItem(COLORS_PLACE, JSON.stringify(chosen))
  else localStorage.removeItem(COLORS_PLACE)
  apply()
}

export function useTheme(theme: Theme, colors: Colors | undefined, dense: boolean): void {
  const chosen = JSON.stringify(colors ?? null)
  useEffect(() => showTheme(theme), [theme])
  useEffect(() => showColors((JSON.parse(chosen) as Colors | null) ?? undefined), [chosen])
  useEffect(() => {
    document.documentElement.classList.toggle('dense', dense)
  }, [dense])
}

function apply(): void {
  const dark = shown === 'dark' || (shown === 'system' && system?.matches === true)
  const root = document.documentElement
  root.classList.toggle('dark', dark)
  for (const name of drawn) root.style.removeProperty(name)
  drawn = []
  // Who asks for more contrast gets the colours that were made for that.
  if (contrast?.matches) return
  for (const [name, colour] of Object.entries((dark ? colors?.dark : colors?.light) ?? {})) {
    if (!NAME.test(name) || !COLOUR.test(colour)) continue
    root.style.setProperty(`--${name}`, colour)
    drawn.push(`--${name}`)
  }
}
