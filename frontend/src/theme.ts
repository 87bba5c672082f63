/** The colours of the page: known before the host has answered, so that a dark page never begins with a white one. */
import { useEffect } from 'react'

export type Theme = 'system' | 'light' | 'dark'

const PLACE = 'theme'

let shown: Theme = 'system'
let system: MediaQueryList | undefined

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
  }
  apply()
}

export function useTheme(theme: Theme): void {
  useEffect(() => showTheme(theme), [theme])
}

function apply(): void {
  const dark = shown === 'dark' || (shown === 'system' && system?.matches === true)
  document.documentElement.classList.toggle('dark', dark)
}
