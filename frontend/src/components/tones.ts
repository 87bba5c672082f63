/** Classes for the colours that the tree names, and the colour of each state of a node. */
import type { Tone } from '@/catalogue.gen'

export const TEXT_TONES: Record<Tone | 'muted', string> = {
  neutral: '',
  muted: 'text-muted',
  info: 'text-info',
  good: 'text-good',
  warning: 'text-warning',
  bad: 'text-bad',
  accent: 'text-accent',
}

export const SOFT_TONES: Record<Tone, string> = {
  neutral: 'border-border bg-surface',
  info: 'border-info/30 bg-info-soft',
  good: 'border-good/30 bg-good-soft',
  warning: 'border-warning/35 bg-warning-soft',
  bad: 'border-bad/35 bg-bad-soft',
  accent: 'border-accent/60 bg-surface ring-2 ring-accent/15',
}

export const STATE_TONES: Record<string, Tone> = {
  pending: 'neutral',
  ready: 'neutral',
  running: 'info',
  succeeded: 'good',
  failed: 'bad',
  skipped: 'neutral',
  cancelled: 'neutral',
  waiting: 'warning',
  interrupted: 'warning',
}
