import { cva } from 'class-variance-authority'
import type { ReactNode } from 'react'
import type { Tone } from '@/catalogue.gen'
import { cn } from '@/lib/cn'

const badgeVariants = cva(
  'inline-flex h-5 shrink-0 items-center rounded px-1.5 text-xs font-medium tabular-nums',
  {
    variants: {
      tone: {
        neutral: 'bg-sunken text-muted ring-1 ring-border ring-inset',
        info: 'bg-info-soft text-info',
        good: 'bg-good-soft text-good',
        warning: 'bg-warning-soft text-warning',
        bad: 'bg-bad-soft text-bad',
        accent: 'bg-accent-soft text-accent',
      },
    },
  },
)

export function Badge({
  tone = 'neutral',
  className,
  children,
}: {
  tone?: Tone
  className?: string
  children: ReactNode
}) {
  return (
    <span data-badge className={cn(badgeVariants({ tone }), className)}>
      {children}
    </span>
  )
}
